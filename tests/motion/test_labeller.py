"""A part's labels do not depend on what else was labelled, or when."""

import threading
import time

import cv2
import motion_clips
import numpy as np
import pytest

from mtssl_tf import motion
from mtssl_tf.motion import cache as cache_lib
from mtssl_tf.motion import clips
from mtssl_tf.motion import labeller as labeller_lib
from mtssl_tf.motion import parts
from mtssl_tf.process import atomic_file


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three parts of film, in a container with keyframes."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (80, 60)
    )
    frames, _ = motion_clips.panning_clip(90, size=(60, 80))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return parts.IndexedClip(clips.Clip("film", path))


def open_labeller(folder, method="refined"):
    config = motion.MotionConfig(method=method)
    return labeller_lib.Labeller(cache_lib.LabelCache(folder, config, 60))


def read_masks(entry):
    return {
        name: cv2.imread(str(entry.files(n)[1]), cv2.IMREAD_GRAYSCALE)
        for n, name in enumerate(entry.names)
    }


@pytest.mark.parametrize("method", ["refined", "idt"])
def test_labels_are_those_of_the_whole_clip(tmp_path, film, method):
    labeller = open_labeller(tmp_path, method)
    config = labeller.cache.config
    found = {}
    cut = film.parts(config.window_frames)
    for part in (cut[2], cut[0], cut[1]):  # anew, anew, going on from the last
        found |= read_masks(labeller.labelled(film, part))
    whole = {
        f"{index:06d}": mask.moving
        for index, _, mask in motion.iterate_masks(
            clips.read_frames(film.clip, 60), config
        )
        if mask.is_known
    }
    assert sorted(found) == sorted(whole)
    assert len(whole) == 80
    for name, mask in whole.items():
        np.testing.assert_array_equal(found[name] > 0, mask)


def test_close_ends_labelling_within_a_frame_and_keeps_what_is_done(
    tmp_path, film
):
    labeller = open_labeller(tmp_path)
    first, second, _ = film.parts(labeller.cache.config.window_frames)
    done = labeller.labelled(film, first)
    errors = []

    def label():
        try:
            labeller.labelled(film, second)
        except labeller_lib.ClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=label)
    thread.start()
    while thread.is_alive() and not atomic_file.find(tmp_path, "*.partial"):
        time.sleep(0.001)
    labeller.close()
    thread.join()
    assert errors
    assert not list(tmp_path.glob("*.partial"))
    assert labeller.labelled(film, first) == done


def test_who_waits_for_another_worker_stops_too(tmp_path, film):
    labeller, other = open_labeller(tmp_path), open_labeller(tmp_path)
    part = film.parts(10)[0]
    name = labeller.cache.name_of(film, part)
    with other.cache._locked_entry(name, other.check):
        labeller.close()
        with pytest.raises(labeller_lib.ClosedError):
            labeller.labelled(film, part)


def test_failures_are_handed_on_once(tmp_path):
    labeller = open_labeller(tmp_path)
    labeller.raise_failure()
    with pytest.raises(OSError, match="full"):
        with labeller.noting_failure():
            raise OSError("full")
    with pytest.raises(OSError, match="full"):
        labeller.raise_failure()
    labeller.raise_failure()
