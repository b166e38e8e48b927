"""The masks of many clips: one that fails is reported, the others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2

from mtssl_tf.motion import clips
from mtssl_tf.motion import job as job_lib
from mtssl_tf.process import local_map
from mtssl_tf.process import memory


def run_jobs(
    jobs: list[job_lib.Job],
    map_all: local_map.MapAll,
    show_progress: Callable[[int, int, dict], None],
) -> list[dict]:
    """Does all jobs, several clips at a time, and returns their records.

    Args:
        jobs: one a clip.
        map_all: `local_map` or `cluster_map`.
        show_progress: gets jobs done, jobs in all and the newest record.

    Returns:
        JSON-ready records in the order of the jobs.
    """
    # The longest first, so that no worker is left alone with it at the end.
    by_size = sorted(jobs, key=lambda job: -_num_bytes(job.clip))
    records: dict[str, dict] = {}
    for index, outcome in map_all(run_job, by_size):
        record = _record(outcome, by_size[index])
        records[record["name"]] = record
        show_progress(len(records), len(jobs), record)
    return [records[job.clip.name] for job in jobs]


def run_job(job: job_lib.Job) -> dict:
    """Computes a clip on one core: clips are what runs in parallel."""
    cv2.setNumThreads(1)
    memory.keep_freed_memory()
    return job_lib.run_job(job)


def _record(outcome: Any, job: job_lib.Job) -> dict:
    """Returns a job's record; what failed there failed this clip only."""
    if isinstance(outcome, local_map.CrashedError):
        return job_lib.empty_record(job, str(outcome))
    if isinstance(outcome, Exception):
        return job_lib.empty_record(job, f"{type(outcome).__name__}: {outcome}")
    return outcome


def _num_bytes(clip: clips.Clip) -> int:
    files = clips.frame_paths(clip.path) if clip.is_folder else [clip.path]
    return sum(file.stat().st_size for file in files)
