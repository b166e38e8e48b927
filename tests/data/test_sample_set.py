"""Tests for the built-in sample set."""

import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np

from mtssl_tf.data import sample_set
from mtssl_tf.motion import clips
from mtssl_tf.process import atomic_file


def test_the_set_is_complete_and_made_once(tmp_path):
    samples = sample_set.build_sample_set(tmp_path)
    pictures = sorted(samples.images.iterdir())
    assert len(pictures) > 80
    assert {cv2.imread(str(p)).shape for p in pictures} == {(160, 160, 3)}
    found = clips.list_clips(samples.videos)
    assert len(found) == 12
    before = pictures[0].stat().st_mtime_ns
    assert sample_set.build_sample_set(tmp_path) == samples
    assert pictures[0].stat().st_mtime_ns == before
    # Nothing half made is left beside it.
    assert len(list(tmp_path.iterdir())) == 1


def test_the_cut_out_moves_against_its_background(tmp_path):
    samples = sample_set.build_sample_set(tmp_path)
    for folder in sorted(samples.videos.iterdir())[:4]:
        frames = sorted(folder.iterdir())
        first, second = (cv2.imread(str(f), 0) for f in frames[11:13])
        mask_file = samples.masks / folder.name / f"{frames[11].stem}.png"
        mask = cv2.imread(str(mask_file), 0) > 0
        assert 0.02 < mask.mean() < 0.3
        flow = cv2.DISOpticalFlow_create(2).calc(first, second, None)
        inside = np.median(flow[cv2.erode(mask.astype(np.uint8), None) > 0], 0)
        outside = np.median(flow[~mask], 0)
        assert np.linalg.norm(inside - outside) > 1.5


_ON_A_FULL_DISK = """
import resource, sys
from mtssl_tf.data import sample_set
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # bytes a file
sample_set.build_sample_set(sys.argv[1])
"""


def test_a_set_that_cannot_be_written_is_an_error_and_not_half_there(tmp_path):
    # A write that fails without an exception: OpenCV only returns False.
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert "Could not write" in done.stderr and "disk full" in done.stderr
    assert not list(tmp_path.iterdir())


_MAKES = (
    "import sys; from mtssl_tf.data import sample_set;"
    "print('begins', flush=True);"
    "sample_set.build_sample_set(sys.argv[1])"
)


def _start_to_make(folder):
    """Starts a process that makes the set, and waits until it writes."""
    process = subprocess.Popen([sys.executable, "-c", _MAKES, str(folder)])
    while process.poll() is None and not atomic_file.find(
        folder, "*.partial/*/*"
    ):
        time.sleep(0.001)
    assert process.poll() is None
    return process


def test_nothing_stays_of_who_was_killed_while_making_it(tmp_path):
    process = _start_to_make(tmp_path)
    process.kill()
    process.wait()
    assert list(tmp_path.glob("*.partial"))
    samples = sample_set.build_sample_set(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [
        samples.images.parent.name
    ]


def test_who_comes_second_waits_for_the_set(tmp_path):
    process = _start_to_make(tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    second = subprocess.Popen(
        [sys.executable, "-c", _MAKES, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert second.stdout.readline() == "begins\n"
        time.sleep(1.0)
        assert second.poll() is None
        assert len(list(tmp_path.glob("*.partial"))) == 1
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait() == 0 and second.wait() == 0
    finally:
        for each in (process, second):
            each.kill()
        second.communicate()
    assert len(list(tmp_path.iterdir())) == 1
