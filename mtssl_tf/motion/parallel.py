"""Many clips at a time, in worker processes that may die.

A decoder that crashes takes its process along. The clip it was at is
reported; the others go on, in a new process.
"""

from __future__ import annotations

from collections.abc import Callable
import concurrent.futures
import multiprocessing
import os

import cv2
import pebble

from mtssl_tf.motion import clips
from mtssl_tf.motion import job as job_lib
from mtssl_tf.process import memory


def run_jobs(
    jobs: list[job_lib.Job],
    workers: int | None,
    show_progress: Callable[[int, int, dict], None],
) -> list[dict]:
    """Does all jobs, several clips at a time, and returns their records.

    Args:
        jobs: one a clip.
        workers: processes; None takes one per core.
        show_progress: gets jobs done, jobs in all and the newest record.

    Returns:
        JSON-ready records in the order of the jobs.
    """
    pool = pebble.ProcessPool(
        min(workers or os.cpu_count() or 1, len(jobs)),
        initializer=_prepare_worker,
        # Forking a process that uses OpenCV's threads can hang.
        context=multiprocessing.get_context("spawn"),
    )
    # The longest first, so that no worker is left alone with it at the end.
    by_size = sorted(jobs, key=lambda job: -_num_bytes(job.clip))
    records: dict[str, dict] = {}
    try:
        futures: dict[concurrent.futures.Future, job_lib.Job] = {
            pool.schedule(job_lib.run_job, [job]): job for job in by_size
        }
        for future in concurrent.futures.as_completed(futures):
            record = _record(future, futures[future])
            records[record["name"]] = record
            show_progress(len(records), len(jobs), record)
    finally:
        pool.stop()  # after an interrupt, clips that are not done
        pool.join()
    return [records[job.clip.name] for job in jobs]


def _prepare_worker() -> None:
    cv2.setNumThreads(1)  # clips are what runs in parallel
    memory.keep_freed_memory()


def _record(future: concurrent.futures.Future, job: job_lib.Job) -> dict:
    """Returns a job's record; what failed there failed this clip only."""
    try:
        return future.result()
    except pebble.ProcessExpired:
        return job_lib.empty_record(
            job, "crashed the process that worked on it"
        )
    except Exception as error:
        return job_lib.empty_record(job, f"{type(error).__name__}: {error}")


def _num_bytes(clip: clips.Clip) -> int:
    files = clips.frame_paths(clip.path) if clip.is_folder else [clip.path]
    return sum(file.stat().st_size for file in files)
