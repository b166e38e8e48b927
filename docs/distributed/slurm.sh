#!/bin/bash
# A distributed run under SLURM; flags are those of mtssl_tf.train:
#
#   WORKDIR=/disk/run sbatch docs/distributed/slurm.sh \
#       --tasks=relative_position,colorization --images=/disk/pictures \
#       --preset=paper --workers=4
#
# WORKDIR must be on a disk that all hosts share. One Ray on each host: the
# head and the command on the first, which must live; another may die. Before
# the time limit the run saves and the job goes back into the queue, with the
# hosts that it still has. To end it before: touch WORKDIR/stop.
#SBATCH --job-name=mtssl_tf
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
# The ports below are fixed, and Ray takes a host for its own.
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=48:00:00
#SBATCH --no-kill
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail
: "${WORKDIR:?set WORKDIR to a run directory that all hosts share}"
# A folder of each host's own, with a short path: unix sockets lie in it.
HOST_FOLDER=${HOST_FOLDER:-/tmp}
PORT=${PORT:-6379}

export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="$WORKDIR.token"
export FOLDER="$HOST_FOLDER/mtssl-$SLURM_JOB_ID"
mkdir -p "$(dirname "$WORKDIR")"
rm -f "$RAY_AUTH_TOKEN_PATH"
(umask 077; od -An -tx8 -N32 /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH")
HEAD=$(python -c 'import ray; print(ray.util.get_node_ip_address())')

# Who is let in is a matter of the token; what a firewall must let through
# between the hosts are these ports, and those that the kernel gives to
# TensorFlow's collectives (net.ipv4.ip_local_port_range).
START=(
    ray start --block --disable-usage-stats
    --num-cpus="${CPUS:-$SLURM_CPUS_ON_NODE}"
    --temp-dir="$FOLDER/ray" # which Ray opens to everybody
    --node-manager-port=$((PORT + 1)) --object-manager-port=$((PORT + 2))
    --runtime-env-agent-port=$((PORT + 3))
    --dashboard-agent-grpc-port=$((PORT + 4))
    --dashboard-agent-listen-port=$((PORT + 5))
    --metrics-export-port=$((PORT + 6))
    --min-worker-port=$((PORT + 10)) --max-worker-port=$((PORT + 999))
)
end() {
    trap - EXIT
    kill $(jobs -p) 2> /dev/null || true
    wait || true
    rm -f "$RAY_AUTH_TOKEN_PATH"
}
trap end EXIT

# On a loaded host Ray may need more than one try to start, and a host that was
# out of reach for long comes back with a new one.
KEEP='mkdir -p -m 700 "$FOLDER"
    trap "kill \$ray; wait; rm -rf \"$FOLDER\"; exit" TERM
    while :; do
        "$@" > /dev/null & ray=$!
        wait $ray || sleep 5
    done'
bash -c "$KEEP" keep "${START[@]}" --head --node-ip-address="$HEAD" \
    --port="$PORT" --include-dashboard=false &
if ((SLURM_JOB_NUM_NODES > 1)); then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) \
        --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --relative=1 --overlap \
        --no-kill --kill-on-bad-exit=0 --wait=0 \
        bash -c "$KEEP" keep "${START[@]}" --address="$HEAD:$PORT" &
fi
hosts() { ray status --address="$HEAD:$PORT" 2> /dev/null | grep -c ' node_'; }
for _ in $(seq 60); do
    (($(hosts) == SLURM_JOB_NUM_NODES)) && break # groups take what is there
    sleep 5
done

python -m mtssl_tf.train --cluster="$HEAD:$PORT" --workdir="$WORKDIR" "$@" &
train=$!
is_asked=0
trap 'is_asked=1; touch "$WORKDIR/stop"' USR1
code=0
wait $train || code=$?
while kill -0 $train 2> /dev/null; do # a signal ends `wait` first
    code=0
    wait $train || code=$?
done
if ((is_asked && code == 0)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
