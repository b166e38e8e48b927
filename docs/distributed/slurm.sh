#!/bin/bash
# A distributed run under SLURM: sbatch docs/distributed/slurm.sh
# Every role is one SLURM task. 1 store shard + 4 tasks x 4 workers = 17 roles.
# WORKDIR must be on a disk that all nodes share.
#SBATCH --job-name=mtssl_tf
#SBATCH --ntasks=17
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=48:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail

TASKS=relative_position,colorization,exemplar,motion_segmentation
WORKERS=4
SHARDS=1
WORKDIR=${WORKDIR:?"set WORKDIR to a run directory that all nodes share"}
IMAGES=${IMAGES:?"set IMAGES to a folder of pictures"}
VIDEOS=${VIDEOS:?"set VIDEOS to a folder of videos"}

# The secret and the cluster file stand beside the run directory, which the
# store wants empty or its own.
CLUSTER="$WORKDIR.cluster"
mkdir -p "$CLUSTER"
(umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$CLUSTER/secret")

# The host of every SLURM task, in the order of their ranks.
srun --label hostname | sort -n | cut -d' ' -f2 > "$CLUSTER/hosts"
python -m mtssl_tf.distribute.write_cluster \
    --hosts="$CLUSTER/hosts" --tasks="$TASKS" --workers="$WORKERS" \
    --shards="$SHARDS" --secret="$CLUSTER/secret" --out="$CLUSTER" \
    --port=$((20000 + SLURM_JOB_ID % 20000))

export CLUSTER WORKDIR IMAGES VIDEOS TASKS
srun --kill-on-bad-exit=0 bash -c '
    role=$(sed -n "$((SLURM_PROCID + 1))p" "$CLUSTER/roles")
    trap "kill -TERM \$child" TERM
    while :; do
        python -m mtssl_tf.train --cluster="$CLUSTER/cluster.json" \
            --role="$role" --tasks="$TASKS" --images="$IMAGES" \
            --videos="$VIDEOS" --workdir="$WORKDIR" --preset=paper &
        child=$!
        code=0
        wait $child || code=$?
        # A signal ends `wait` first; the program then saves.
        while kill -0 $child 2> /dev/null; do
            code=0
            wait $child || code=$?
        done
        # 0 is done, 2 needs a person, 143 was told to stop. All else is a
        # group or a shard that is to start again.
        case $code in 0|2|130|143) exit $code;; esac
        sleep 2
    done'
