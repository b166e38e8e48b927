"""What `import mtssl_tf` gives, and what it costs."""

import ast
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import tiny_run

import mtssl_tf

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_SMALL = tiny_run.SETTINGS | {
    "exemplar.batch_size": 4,
    "data.held_out_images": 0.5,
}


def test_importing_it_costs_nothing():
    code = (
        "import sys, mtssl_tf\n"
        "mtssl_tf.TrunkConfig(depth=50)\n"
        "assert set(mtssl_tf.__all__) <= set(dir(mtssl_tf))\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'cv2', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"


def test_type_checkers_see_the_same_names():
    tree = ast.parse(pathlib.Path(mtssl_tf.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == mtssl_tf._HOMES
    assert sorted(imported) == sorted(mtssl_tf.__all__)
    for name in mtssl_tf.__all__:
        assert getattr(mtssl_tf, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'build_trunks'"):
        mtssl_tf.build_trunks
    assert (_ROOT / "mtssl_tf" / "py.typed").is_file()


@pytest.fixture(scope="module")
def pictures(samples) -> pathlib.Path:
    return samples.images


def test_pretrain_trains_and_load_trunk_loads(pictures, tmp_path):
    before = dict(os.environ)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    made = []

    def train(steps: int, remat: bool = False) -> None:
        made.append(
            mtssl_tf.pretrain(
                tmp_path / "run",
                tasks=["exemplar"],
                images=pictures,
                steps=steps,
                lasso=True,
                precision="bfloat16",
                remat=remat,
                settings=_SMALL,
            )
        )

    # Only the main thread may have signals.
    thread = threading.Thread(target=train, args=(2,))
    thread.start()
    thread.join()
    train(3, remat=True)  # may change from start to start
    assert dict(os.environ) == before
    assert keras.config.dtype_policy().name == "float32"
    now = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert now == handlers
    image = np.random.default_rng(0).normal(0, 50, (1, 64, 64, 3))
    first, second, loaded = (
        trunk(image.astype(np.float32))["unit_02"].numpy()
        for trunk in (*made, mtssl_tf.load_trunk(tmp_path / "run"))
    )
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(second, loaded)
    assert not np.array_equal(first, second)
    dense = mtssl_tf.load_trunk(str(tmp_path / "run"), output_stride=8)
    assert dense(image)["unit_01"].shape[1:3] == (8, 8)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tasks": ["depth"]}, "'depth'.*exemplar"),
        ({"tasks": []}, "empty"),
        ({"preset": "huge"}, "'huge'.*tiny"),
        ({"steps": 0}, "steps.*0"),
        ({"precision": "float8"}, "'float8'"),
        ({"settings": {"train.stepz": 5}}, "stepz.*steps"),
        ({"settings": {"train.intra_op_threads": 2}}, "intra_op_threads"),
        ({"images": "/no/such", "tasks": ["exemplar"]}, "/no/such"),
        ({"images": "/tmp", "tasks": ["motion_segmentation"]}, "videos"),
    ],
)
def test_mistakes_are_said_before_any_work(tmp_path, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        mtssl_tf.pretrain(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_signal_saves_and_then_does_what_it_always_did(pictures, tmp_path):
    lines = tmp_path / "run" / "metrics.jsonl"

    def interrupt() -> None:
        while not (lines.is_file() and lines.stat().st_size):
            time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    # Whoever listened in this process before.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt, daemon=True)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        mtssl_tf.pretrain(
            tmp_path / "run",
            tasks=["exemplar"],
            images=pictures,
            steps=10_000,
            settings=_SMALL | {"train.log_every": 1},
        )
    assert list((tmp_path / "run" / "checkpoints").glob("ckpt-*"))
