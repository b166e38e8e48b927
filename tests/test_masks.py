"""The command, from a folder of clips to masks and a manifest."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import cv2
import motion_clips
import numpy as np
import pytest

from mtssl_tf import masks
from mtssl_tf import motion
from mtssl_tf.motion import clips as clips_lib
from mtssl_tf.motion import job as job_lib

CONFIG = motion.MotionConfig(window_frames=3)


@pytest.fixture
def videos(tmp_path):
    frames, masks = motion_clips.panning_clip(num_frames=6, size=(48, 64))
    motion_clips.save_frames(tmp_path / "videos" / "pan", frames)
    truth = np.repeat(masks[..., None] * np.uint8(255), 3, axis=-1)
    motion_clips.save_frames(tmp_path / "truth" / "pan", truth)
    return tmp_path / "videos"


def job_for(videos, out, **options):
    config = options.pop("config", CONFIG)
    return job_lib.Job(clips_lib.list_clips(videos)[0], config, out, **options)


def read_png(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_writes_masks_label_maps_and_a_record(videos, tmp_path):
    out = tmp_path / "out"
    record = job_lib.run_job(job_for(videos, out))
    assert record["num_frames"] == 6 and record["num_masks"] == 3
    assert record["unknown"] == {"fewer than 3 frames follow": 3}
    assert {"share_moving", "camera_inliers"} <= set(record["statistics"])
    names = sorted(path.name for path in (out / "pan").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png"]
    mask = read_png(out / "pan" / "00000.png")
    assert mask.shape == (48, 64) and set(np.unique(mask)) == {0, 255}
    small = read_png(out / "_label_maps" / "pan" / "00000.png")
    np.testing.assert_array_equal(small > 0, job_lib.label_map(mask > 0))


def test_label_map_is_the_majority_of_each_block():
    moving = np.zeros((17, 16), bool)
    moving[:8, 8:] = True
    moving[8:12, :8] = True  # half a block is no majority
    moving[16, :8] = True  # the last row's block is one row high
    expected = [[False, True], [False, False], [True, False]]
    np.testing.assert_array_equal(job_lib.label_map(moving), expected)


def test_compares_with_true_masks(videos, tmp_path):
    job = job_for(videos, tmp_path / "out", truth=tmp_path / "truth")
    statistics = job_lib.run_job(job)["statistics"]
    mask = read_png(tmp_path / "out" / "pan" / "00000.png") > 0
    assert mask.any()
    for name in ("J", "precision", "recall", "F"):
        assert 0 < statistics[name] <= 1


def test_second_run_only_reads_the_record(videos, tmp_path):
    job = job_for(videos, tmp_path / "out")
    first = job_lib.run_job(job)
    mask = tmp_path / "out" / "pan" / "00000.png"
    written = mask.stat().st_mtime_ns
    assert job_lib.run_job(job) == first
    assert mask.stat().st_mtime_ns == written


@pytest.mark.parametrize("folder", ["pan", "_label_maps/pan"])
@pytest.mark.parametrize("is_emptied", [False, True])
def test_masks_that_are_gone_are_made_again(
    videos, tmp_path, folder, is_emptied
):
    # A kind of fault: the record is trusted, and what it is of is gone.
    job = job_for(videos, tmp_path / "out")
    job_lib.run_job(job)
    mask = tmp_path / "out" / folder / "00001.png"
    content = mask.read_bytes()
    mask.write_bytes(b"") if is_emptied else mask.unlink()
    job_lib.run_job(job)
    assert mask.read_bytes() == content


def test_other_true_masks_are_compared_with_anew(videos, tmp_path):
    truth = tmp_path / "truth"
    job = job_for(videos, tmp_path / "out", truth=truth)
    before = job_lib.run_job(job)["statistics"]["J"]
    for path in (truth / "pan").iterdir():
        cv2.imwrite(str(path), 255 - read_png(path))
    assert job_lib.run_job(job)["statistics"]["J"] < before


def test_a_name_as_long_as_a_disk_takes_is_a_clip(tmp_path):
    # A kind of fault: what is written beside it adds letters of its own.
    clip = clips_lib.Clip("x" * 240, tmp_path / "x.mp4")
    clip.path.write_bytes(b"no video")
    job = job_lib.Job(clip, CONFIG, tmp_path / "out")
    assert "not a video" in job_lib.run_job(job)["problem"]
    assert job.record_path.is_file()


def test_a_clip_named_as_the_record_of_another_has_its_own(tmp_path):
    for name in ("x", "x.json/y"):
        clip = clips_lib.Clip(name, tmp_path / "x.mp4")
        clip.path.write_bytes(b"no video")
        job = job_lib.Job(clip, CONFIG, tmp_path / "out")
        assert job_lib.run_job(job)["name"] == name
        assert job.record_path.is_file()


def test_a_name_of_two_lines_is_one_row_of_the_table():
    job = job_lib.Job(
        clips_lib.Clip("a\nb", pathlib.Path("v")), CONFIG, pathlib.Path("o")
    )
    record = job_lib.empty_record(job, "broken")
    assert "| a\\nb | 0 | 0 |" in masks._table([record])
    assert "\n" not in masks._describe(record)


def test_other_settings_replace_the_masks(videos, tmp_path):
    out = tmp_path / "out"
    job_lib.run_job(job_for(videos, out))
    (out / "pan" / "mine.png").write_bytes(b"a file of the user")
    job_lib.run_job(
        job_for(videos, out, config=motion.MotionConfig(window_frames=5))
    )
    names = sorted(path.name for path in (out / "pan").iterdir())
    assert names == ["00000.png", "mine.png"]


def test_overlay_draws_a_sheet_and_a_video(videos, tmp_path):
    job_lib.run_job(job_for(videos, tmp_path / "out", is_overlaid=True))
    sheet = read_png(tmp_path / "out" / "_overlays" / "pan.jpg")
    assert sheet.shape == (2 * 180, 4 * 240, 3)
    video = cv2.VideoCapture(str(tmp_path / "out" / "_overlays" / "pan.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_bad_clips_are_reported(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    clip = clips_lib.Clip("a", tmp_path / "a.mp4")
    record = job_lib.run_job(job_lib.Job(clip, CONFIG, tmp_path / "out"))
    assert record["num_frames"] == record["num_masks"] == 0
    assert "not a video" in record["problem"]


def test_frames_are_never_overwritten(videos):
    with pytest.raises(ValueError, match="overwrite"):
        job_for(videos, videos)


@pytest.mark.parametrize("name", ["_records/a", "manifest.json"])
def test_reserved_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=name):
        job_lib.Job(clips_lib.Clip(name, tmp_path), CONFIG, tmp_path)


def test_no_mask_at_all_is_no_success(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    result = run_tool(f"--videos={tmp_path}/videos", f"--out={tmp_path}/out")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(
        "None of the 1 clips gave a mask; "
        f"{tmp_path}/out/manifest.json says why."
    )


def test_command_reads_container_files(shared_data, tmp_path):
    containers = [
        path
        for path in sorted((shared_data / "videos").iterdir())
        if path.suffix in clips_lib.CONTAINER_SUFFIXES
    ]
    if not containers:
        pytest.skip(f"no container files in {shared_data / 'videos'}")
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for path in containers:
        os.symlink(path, videos / path.name)
    result = run_tool(
        f"--videos={videos}", f"--out={out}", "--short_side=48", "--workers=1"
    )
    assert result.returncode == 0, result.stderr
    clips = json.loads((out / "manifest.json").read_text())["clips"]
    assert [clip["path"] for clip in clips] == [
        str(videos / path.name) for path in containers
    ]
    for clip in clips:
        assert clip["problem"] == ""
        assert 0 < clip["num_masks"] <= clip["num_frames"] - 10
        assert (
            clip["num_masks"] + sum(clip["unknown"].values())
            == (clip["num_frames"])
        )
        mask = read_png(out / clip["name"] / f"{clip['masks'][0]}.png")
        assert list(mask.shape) == clip["size"] and min(mask.shape) == 48


def run_tool(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mtssl_tf.masks", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_from_end_to_end(videos, tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=12, size=(48, 64))
    motion_clips.save_frames(videos / "pan", frames)
    (videos / "broken.mp4").write_bytes(b"no video")
    out = tmp_path / "out"
    result = run_tool(f"--videos={videos}", f"--out={out}", "--workers=2")
    assert result.returncode == 0, result.stderr
    assert "| pan | 12 | 2 |" in result.stdout
    assert "2/2 clips" in result.stderr
    assert "broken: 0 masks of 0 frames (" in result.stderr
    clips = json.loads((out / "manifest.json").read_text())["clips"]
    assert [clip["name"] for clip in clips] == ["broken", "pan"]
    assert "not a video" in clips[0]["problem"]


def test_command_names_what_is_missing(tmp_path):
    result = run_tool(f"--videos={tmp_path}/nowhere", f"--out={tmp_path}")
    assert result.returncode == 2
    assert "nowhere" in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("out", ["", "masks"])
def test_results_are_not_taken_for_clips(videos, out):
    result = run_tool(f"--videos={videos}", f"--out={videos / out}")
    assert result.returncode == 2
    assert "lies in --videos" in result.stderr
    assert os.listdir(videos) == ["pan"]


def test_a_clip_being_written_is_no_leftover_of_another(videos, tmp_path):
    """The kind: a name taken as a pattern of others."""
    job = job_for(videos, tmp_path / "out")
    like = dataclasses.replace(job.clip, name="pan.a")
    other, own = (
        each.scratch.with_suffix(f".{'0' * 32}")
        for each in (dataclasses.replace(job, clip=like), job)
    )
    for folder in (other, own):
        folder.mkdir(parents=True)
    job_lib.run_job(job)
    assert other.is_dir() and not own.exists()


def test_command_needs_no_tensorflow():
    code = (
        "import sys, mtssl_tf.masks, mtssl_tf.motion.job;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
