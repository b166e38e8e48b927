"""Many clips at a time, in worker processes that may die.

A decoder that crashes takes its process along. So every worker is a pool of
one process, replaced when it dies: the clip it was at is reported, the others
go on.
"""

from __future__ import annotations

from collections.abc import Callable
import concurrent.futures
from concurrent.futures.process import BrokenProcessPool
import multiprocessing
import os
import queue

import cv2

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
    num_workers = min(workers or os.cpu_count() or 1, len(jobs))
    idle: queue.SimpleQueue = queue.SimpleQueue()
    for _ in range(num_workers):
        idle.put(_start_worker())
    # The longest first, so that no worker is left alone with it at the end.
    by_size = sorted(jobs, key=lambda job: -_num_bytes(job.clip))
    records: dict[str, dict] = {}
    threads = concurrent.futures.ThreadPoolExecutor(num_workers)
    try:
        futures = [threads.submit(_run_in_worker, idle, j) for j in by_size]
        for future in concurrent.futures.as_completed(futures):
            record = future.result()
            records[record["name"]] = record
            show_progress(len(records), len(jobs), record)
    finally:
        # After an interrupt, no further clip is begun.
        threads.shutdown(cancel_futures=True)
        for _ in range(num_workers):
            idle.get().shutdown()
    return [records[job.clip.name] for job in jobs]


def _start_worker() -> concurrent.futures.ProcessPoolExecutor:
    # Forking a process that uses OpenCV's threads can hang: spawn.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(1, context, _prepare_worker)


def _prepare_worker() -> None:
    cv2.setNumThreads(1)  # clips are what runs in parallel
    memory.keep_freed_memory()


def _run_in_worker(idle: queue.SimpleQueue, job: job_lib.Job) -> dict:
    """Does one job in an idle worker; what fails there fails this clip only."""
    worker = idle.get()
    try:
        return worker.submit(job_lib.run_job, job).result()
    except BrokenProcessPool:
        worker.shutdown()
        worker = _start_worker()
        return job_lib.empty_record(
            job, "crashed the process that worked on it"
        )
    except Exception as error:
        return job_lib.empty_record(job, f"{type(error).__name__}: {error}")
    finally:
        idle.put(worker)


def _num_bytes(clip: clips.Clip) -> int:
    files = clips.frame_paths(clip.path) if clip.is_folder else [clip.path]
    return sum(file.stat().st_size for file in files)
