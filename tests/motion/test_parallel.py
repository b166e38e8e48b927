"""Clips side by side: one that fails is reported, the others go on."""

import dataclasses
import functools
import multiprocessing
import os
import signal
import time

import motion_clips
import pytest

from mtssl_tf import motion
from mtssl_tf.motion import clips
from mtssl_tf.motion import job
from mtssl_tf.motion import parallel
from mtssl_tf.process import local_map

CONFIG = motion.MotionConfig(window_frames=3)


@dataclasses.dataclass(frozen=True)
class KillingClip(clips.Clip):
    """Kills the worker that opens it, as a decoder does that crashes."""

    @property
    def is_folder(self):
        if multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().is_folder


@dataclasses.dataclass(frozen=True)
class RaisingClip(clips.Clip):
    """Fails in the worker that opens it."""

    @property
    def is_folder(self):
        if multiprocessing.parent_process() is not None:
            raise OSError(f"{self.name} has gone")
        return super().is_folder


@dataclasses.dataclass(frozen=True)
class SlowClip(clips.Clip):
    """Takes its worker a while."""

    @property
    def is_folder(self):
        if multiprocessing.parent_process() is not None:
            time.sleep(0.5)
        return super().is_folder


def workers(number):
    return functools.partial(local_map.local_map, workers=number)


@pytest.fixture
def folder(tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=5, size=(48, 64))
    for name in ("a", "b", "c"):
        motion_clips.save_frames(tmp_path / name, frames)
    return tmp_path


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize(
    "bad_clip, problem",
    [
        (KillingClip, "crashed the process"),
        (RaisingClip, "OSError: b has gone"),
    ],
)
def test_failing_clip_stops_no_other(folder, num_workers, bad_clip, problem):
    jobs = [
        job.Job(kind(name, folder / name), CONFIG, folder / "out")
        for name, kind in (
            ("a", clips.Clip),
            ("b", bad_clip),
            ("c", clips.Clip),
        )
    ]
    done = []
    records = parallel.run_jobs(
        jobs, workers(num_workers), lambda *arguments: done.append(arguments)
    )
    assert [record["name"] for record in records] == ["a", "b", "c"]
    assert [record["num_masks"] for record in records] == [2, 0, 2]
    assert problem in records[1]["problem"]
    assert records[0].keys() == records[1].keys()
    assert [(count, total) for count, total, _ in done] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]
    assert not (folder / "out" / "_records" / "b.json").exists()


def test_after_an_interrupt_no_further_clip_is_begun(tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=5, size=(48, 64))
    names = [f"clip_{number}" for number in range(6)]
    for name in names:
        motion_clips.save_frames(tmp_path / name, frames)
    jobs = [
        job.Job(SlowClip(name, tmp_path / name), CONFIG, tmp_path / "out")
        for name in names
    ]

    def press_ctrl_c(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel.run_jobs(jobs, workers(1), press_ctrl_c)
    done = len(list((tmp_path / "out" / "_records").iterdir()))
    assert 1 <= done <= 2
    time.sleep(1.0)
    assert len(list((tmp_path / "out" / "_records").iterdir())) == done
