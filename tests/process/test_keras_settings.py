"""Commands run with settings of Keras of their own.

Kind of fault: global settings leak in, from the environment and from a file
in the user's home.
"""

import ast
import os
import pathlib
import subprocess
import sys

import keras
import pytest
import tf_keras

from mtssl_tf.process import keras_settings

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_COMMANDS = [
    path
    for folder in ("mtssl_tf", "evaluation")
    for path in sorted((_ROOT / folder).glob("*.py"))
    if '__name__ == "__main__"' in path.read_text()
]
_HOSTILE = """{
  "backend": "jax", "image_data_format": "channels_first",
  "floatx": "float64", "epsilon": 0.1
}"""


def _run(arguments, settings):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env=os.environ | settings,
    )


def test_a_command_does_as_without_the_users_settings(tmp_path):
    (tmp_path / "keras.json").write_text(_HOSTILE)
    (tmp_path / "picture.jpg").touch()
    run = _run(
        [
            *("-m", "mtssl_tf.train", "--dry_run"),
            *("--tasks=exemplar", f"--images={tmp_path}"),
        ],
        {
            "KERAS_BACKEND": "jax",
            "KERAS_HOME": str(tmp_path),
            "TF_USE_LEGACY_KERAS": "1",
        },
    )
    assert run.returncode == 0, run.stderr
    # 256 channels: two norms, a layer of 256 and one of 128 with its bias.
    assert 1024 + 256**2 + 1024 + 257 * 128 == 100_480
    (line,) = [x for x in run.stdout.splitlines() if x.startswith("exemplar ")]
    assert "100,480" in line


def test_drawings_and_progress_are_as_without_the_users_settings(tmp_path):
    config = tmp_path / "matplotlib"
    config.mkdir()
    (config / "matplotlibrc").write_text("text.usetex: True\n")
    code = """
import time
from mtssl_tf.process import keras_settings
from mtssl_tf.reports import progress
keras_settings.fix()
import matplotlib
assert not matplotlib.rcParams["text.usetex"]
assert matplotlib.get_backend() == "agg"
import os
assert not [name for name in os.environ if name.startswith("OPENCV_IO_")]
assert not [name for name in os.environ if name.startswith("OPENCV_V")]
assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ
line = progress.ProgressLine(2, "steps")
assert not line.is_due()
time.sleep(0.11)
line.update(1)
"""
    run = _run(
        ["-c", code],
        {
            "MPLBACKEND": "none of them",
            "MPLCONFIGDIR": str(config),
            "TQDM_DISABLE": "1",
            "TQDM_MININTERVAL": "often",
            "OPENCV_IO_MAX_IMAGE_WIDTH": "1",
            "OPENCV_VIDEOIO_PRIORITY_FFMPEG": "0",
            "OPENCV_FFMPEG_CAPTURE_OPTIONS": "video_codec;none",
        },
    )
    assert run.returncode == 0, run.stderr
    assert "1/2 steps" in run.stderr


def test_what_is_imported_already_is_checked():
    before = keras.config.epsilon()
    keras.config.set_epsilon(0.25)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(ValueError, match="^keras is .*=0.25.*'mixed_floa"):
            keras_settings.fix()
    finally:
        keras.config.set_epsilon(before)
        keras.config.set_dtype_policy("float32")
    tf_keras.backend.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="tf_keras is .*'channels_first'"):
            keras_settings.fix()
    finally:
        tf_keras.backend.set_image_data_format("channels_last")
    keras_settings.fix()


@pytest.mark.parametrize("path", _COMMANDS, ids=lambda path: path.stem)
def test_every_command_fixes_them(path):
    calls = [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    # An evaluation does so by its skeleton, which is one of the files here.
    shared = {"command.run", "command.call", "process_command.run"}
    assert {"keras_settings.fix", *shared} & set(calls)


def test_the_users_choice_of_log_level_stays(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    keras_settings.fix()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    keras_settings.fix()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
