"""Looks at all of a user's data and at the machine: `check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import pathlib
import re
import time

import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.checkup import advice
from mtssl_tf.checkup import clip_facts as clip_facts_lib
from mtssl_tf.checkup import findings
from mtssl_tf.checkup import pace as pace_lib
from mtssl_tf.checkup import picture_facts as picture_facts_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.training import devices
from mtssl_tf.training import out_of_memory

# ours: for pictures and for clips, and all of it, with the imports a minute.
_PICTURES_S = 18.0
_CLIPS_S = 8.0
_ALL_S = 45.0
_MIN_PACE_S = 10.0
_MEMORY = pathlib.Path("/proc/meminfo")


def check(
    config: config_lib.RunConfig, share: float | None, usual: Sequence[str]
) -> findings.Findings:
    """Looks at what the settings name.

    Args:
        config: the settings, with the data that its tasks need.
        share: of pictures and clips to look at; None takes as many as the
            time allows.
        usual: tasks that a user would expect, with or without data.

    Raises:
        FileNotFoundError: data is missing.
        ValueError: a source is empty.
    """
    tf.config.threading.set_intra_op_parallelism_threads(
        config.train.intra_op_threads
    )
    end_s = time.monotonic() + _ALL_S
    pictures = clips = None
    needed = config.sources()
    if "images" in needed:
        sides = config.needed_sides("images").values()
        pictures = picture_facts_lib.look(
            config.data.images,
            share,
            _PICTURES_S,
            max(sides, default=None),
            config.value_range,
        )
    if "videos" in needed:
        clips = clip_facts_lib.look(
            config.data.videos,
            share,
            _CLIPS_S,
            config.motion.window_frames,
            config.labelled_short_side_px(),
        )
    max_s = max(end_s - time.monotonic(), _MIN_PACE_S)
    paces, no_pace = _pace(config, pictures, clips, max_s)
    named = {"images": pictures, "videos": clips}
    missing = [name for name in usual if named[_source(name)] is None]
    return findings.Findings(
        config,
        devices.describe(),
        pictures,
        clips,
        paces,
        no_pace,
        _advice(config, pictures, clips, paces),
        advice.notes(config, pictures, clips, missing),
    )


def _pace(
    config: config_lib.RunConfig,
    pictures: picture_facts_lib.PictureFacts | None,
    clips: clip_facts_lib.ClipFacts | None,
    max_s: float,
) -> tuple[dict[str, pace_lib.TaskPace], str]:
    sources: dict[str, source_lib.Source] = {}
    if pictures is not None:
        if not pictures.names:
            return {}, "no picture can be used"
        sources["images"] = pictures.source
    if clips is not None:
        if clips.frame is None:
            return {}, "no clip can be used"
        sources["videos"] = pace_lib.OneFrame(clips.frame)
    try:
        return pace_lib.measure(config, sources, max_s), ""
    except (out_of_memory.OutOfMemoryError, source_lib.SourceError) as error:
        return {}, str(error)


def _advice(
    config: config_lib.RunConfig,
    pictures: picture_facts_lib.PictureFacts | None,
    clips: clip_facts_lib.ClipFacts | None,
    paces: Mapping[str, pace_lib.TaskPace],
) -> list[str]:
    told = [text for text in (devices.unused_gpu(),) if text]
    if pictures is not None:
        told += advice.on_pictures(config, pictures)
    if clips is not None:
        told += advice.on_clips(config, clips)
    if not paces:
        return told
    largest = max(paces, key=lambda name: paces[name].cost.num_bytes)
    return told + advice.on_cost(
        config,
        advice.hours_of(config, {n: p.step_s for n, p in paces.items()}),
        paces[largest].cost.num_bytes,
        _free_bytes(),
        out_of_memory.remedy(config, [largest]),
    )


def _source(task: str) -> str:
    return tasks_lib.find_task(task).source


def _free_bytes() -> int | None:
    """Returns the host's free memory; None on a GPU, whose own is another."""
    if tf.config.list_physical_devices("GPU") or not _MEMORY.exists():
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMORY.read_text(), re.M)
    return int(found[1]) * 1024 if found else None
