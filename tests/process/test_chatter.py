"""Nothing but our own lines in a user's terminal."""

import os
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[2]

# Finds devices, runs C++, saves a checkpoint and opens a broken clip: each had
# something to say. What goes wrong is still told.
_WORKS = """
import sys
from mtssl_tf.process import command

def work():
    from absl import logging
    logging.set_verbosity(logging.INFO)
    import cv2
    import tensorflow as tf
    tf.config.list_physical_devices()
    variable = tf.Variable(tf.matmul(tf.ones([64, 64]), tf.ones([64, 64])))
    tf.train.Checkpoint(v=variable).save(sys.argv[1] + "/ckpt")
    cv2.VideoCapture(sys.argv[1] + "/broken.mp4")
    tf.io.read_file("/no/tea")

command.end(command.call("toy", work))
"""


def test_a_command_says_nothing_that_is_not_its_own(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    asked_for = ("TF_CPP_", "OPENCV_")
    done = subprocess.run(
        [sys.executable, "-c", _WORKS, tmp_path],
        cwd=_ROOT,
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith(asked_for)
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("toy: /no/tea")
