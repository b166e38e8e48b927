"""The files for schedulers: their fields, and a job that loses a host."""

import gzip
from importlib import util
import json
import pathlib
import shlex
import subprocess
import sys
import time

import hosts as hosts_lib
import jsonschema
import pytest
import yaml

_REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
_FOLDER = _REPOSITORY / "docs" / "distributed"
_PARSE = """
import sys
from mtssl_tf import train_flags
train_flags.FLAGS(sys.argv)
print(train_flags.cluster_from_flags(train_flags.config_from_flags()))
"""


def load_manifest(kind):
    text = (_FOLDER / "kubernetes.yaml").read_text()
    (found,) = [d for d in yaml.safe_load_all(text) if d["kind"] == kind]
    return found


def forbid_unknown_fields(schema):
    """Kubernetes drops a field that it does not know, without a word."""
    if isinstance(schema, list):
        return [forbid_unknown_fields(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {k: forbid_unknown_fields(v) for k, v in schema.items()}
    is_free = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and not is_free:
        strict.setdefault("additionalProperties", False)
    return strict


@pytest.fixture(scope="module")
def ray_job_schema(shared_data):
    path = shared_data / "reference" / "kuberay" / "ray.io_rayjobs.yaml.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    definition = yaml.safe_load(gzip.decompress(path.read_bytes()))
    (version,) = [
        each for each in definition["spec"]["versions"] if each["name"] == "v1"
    ]
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(forbid_unknown_fields(schema))


def test_the_ray_job_has_the_fields_of_its_schema(ray_job_schema):
    job = load_manifest("RayJob")
    errors = [
        f"{'.'.join(map(str, each.path))}: {each.message[:200]}"
        for each in ray_job_schema.iter_errors(job)
    ]
    assert not errors
    job["spec"]["rayClusterSpec"]["authOption"] = {}
    assert list(ray_job_schema.iter_errors(job))


def test_the_ray_job_asks_for_a_token_and_has_room_for_its_objects():
    cluster = load_manifest("RayJob")["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    policy = load_manifest("NetworkPolicy")["spec"]
    for group in groups:
        template = group["template"]
        memory = {
            volume["name"]
            for volume in template["spec"]["volumes"]
            if volume.get("emptyDir", {}).get("medium") == "Memory"
        }
        (container,) = template["spec"]["containers"]
        assert memory & {
            mount["name"]
            for mount in container["volumeMounts"]
            if mount["mountPath"] == "/dev/shm"
        }
        assert (
            policy["podSelector"]["matchLabels"]
            == (template["metadata"]["labels"])
        )


def test_the_ray_job_has_a_gpu_for_each_worker():
    spec = load_manifest("RayJob")["spec"]
    asked = 4 * 4  # tasks, --workers=4
    assert "--workers=4" in spec["entrypoint"]
    gpus = sum(
        group["replicas"]
        * int(
            group["template"]["spec"]["containers"][0]["resources"]["limits"][
                "nvidia.com/gpu"
            ]
        )
        for group in spec["rayClusterSpec"]["workerGroupSpecs"]
    )
    assert gpus == asked


@pytest.mark.parametrize("name", ["kubernetes.yaml", "cluster.yaml"])
def test_the_command_of_a_manifest_is_one_of_this_version(name):
    if name == "kubernetes.yaml":
        command = load_manifest("RayJob")["spec"]["entrypoint"]
    else:
        lines = (_FOLDER / name).read_text().splitlines()
        text = " ".join(each.removeprefix("#").strip() for each in lines)
        start = text.index("python -m mtssl_tf.train")
        command = text[start : text.index("'", start)]
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "mtssl_tf.train"]
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, *words[3:]],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert "address='auto'" in done.stdout, done.stderr


def test_the_launcher_s_file_has_the_fields_of_ray_s_schema():
    path = (
        pathlib.Path(util.find_spec("ray").origin).parent
        / "autoscaler"
        / "ray-schema.json"
    )
    validator = jsonschema.Draft7Validator(json.loads(path.read_text()))
    settings = yaml.safe_load((_FOLDER / "cluster.yaml").read_text())
    assert not list(validator.iter_errors(settings))
    for kind in ("head", "worker"):
        commands = settings[f"{kind}_start_ray_commands"]
        assert "RAY_AUTH_MODE=token ray start" in commands[-1]


def read_steps(workdir):
    path = workdir / "status.json"
    return json.loads(path.read_text())["steps"] if path.exists() else {}


@pytest.mark.long
def test_a_slurm_job_outlives_a_cut_and_a_dead_host(tmp_path):
    """Takes about 5 minutes on two cores."""
    workdir = tmp_path / "run"
    flags = (
        "--tasks=colorization,exemplar",
        "--workers=colorization:2",
        "--set=train.save_every=100",
        "--set=train.log_every=20",
        f"--set=data.cache_dir={tmp_path / 'samples'}",
    )
    with hosts_lib.started(2, "sbatch", "munged") as hosts:
        hosts("slurm")
        script = _FOLDER / "slurm.sh"
        output = tmp_path / "output"
        hosts(
            *("on", "h1", "sbatch", "--nodes=2", f"--output={output}"),
            *(script, "--steps=1000000", *flags),
            WORKDIR=str(workdir),
            CPUS="4",
        )

        def wait_for_steps(more, timeout_s):
            before = read_steps(workdir)

            def are_done():
                now = read_steps(workdir)
                return now and all(
                    now[task] >= before.get(task, 0) + more for task in now
                )

            start = time.monotonic()
            hosts_lib.wait_for(are_done, timeout_s, output)
            return time.monotonic() - start

        hosts_lib.wait_for(output.exists, 60, "no job started")
        wait_for_steps(5, 240)
        token = pathlib.Path(f"{workdir}.token")
        assert token.stat().st_mode & 0o777 == 0o600
        hosts("cut", "h2")
        time.sleep(10)
        hosts("mend", "h2")
        wait_for_steps(5, 60)
        hosts("kill", "h2")
        print("again after", wait_for_steps(5, 200))
        # As at the end of the job's time.
        hosts("on", "h1", "scancel", "--batch", "--signal=USR1", "1")
        hosts_lib.wait_for(
            lambda: "saved, stopped by" in output.read_text(), 60, "no end"
        )
        hosts_lib.wait_for(
            lambda: "PENDING" in hosts("on", "h1", "scontrol", "show", "job"),
            60,
            "the job is not in the queue again",
        )
        hosts("on", "h1", "scancel", "1")
        said = output.read_text()
        assert "Traceback" not in said
        steps = read_steps(workdir)
    # Now on one machine.
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mtssl_tf.train"),
            *(f"--workdir={workdir}", f"--steps={sum(steps.values()) + 4}"),
            *(flags[0], *flags[2:]),
        ],
        env=hosts.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    exported = subprocess.run(
        [
            *(sys.executable, "-m", "mtssl_tf.export"),
            *(f"--workdir={workdir}", f"--out={tmp_path / 'exported'}"),
        ],
        env=hosts.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert exported.returncode == 0, exported.stderr[-3000:]
