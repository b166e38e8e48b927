"""What the doctor says of good data, of broken data and of none."""

import dataclasses
import json
import os

import cv2
import motion_clips
import numpy as np
import pytest
import tiny_run

from mtssl_tf import config as config_lib
from mtssl_tf import doctor
from mtssl_tf.checkup import advice
from mtssl_tf.checkup import clip_facts
from mtssl_tf.checkup import pace
from mtssl_tf.checkup import picture_facts
from mtssl_tf.training import dry_run

pytestmark = pytest.mark.usefixtures("threads_as_they_are")

_SMALL = (
    *tiny_run.FLAGS,
    "--set=exemplar.batch_size=4",
    "--set=motion_segmentation.batch_size=4",
)


def _doctor(*arguments):
    return doctor.main(["doctor", *arguments])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve pictures, two copies, one grey, and four that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(12):
        image = motion_clips.texture(96, 128, seed)
        cv2.imwrite(str(folder / f"{seed}.png"), image)
    cv2.imwrite(str(folder / "copy.jpg"), motion_clips.texture(96, 128, 3))
    half = cv2.resize(motion_clips.texture(96, 128, 3), (64, 48))
    cv2.imwrite(str(folder / "half.png"), half)
    grey = motion_clips.texture(96, 128, 20)[..., :1].repeat(3, -1)
    cv2.imwrite(str(folder / "grey.png"), grey)
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_text("<html>")
    (folder / "a.HEIC").touch()
    os.mkfifo(folder / "pipe.jpg")
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A clip that moves, one that does not, a short and a broken one."""
    folder = tmp_path_factory.mktemp("videos")
    frames, _ = motion_clips.panning_clip(24)
    motion_clips.save_frames(folder / "moves", frames)
    motion_clips.save_frames(folder / "still", frames[:1].repeat(24, 0))
    motion_clips.save_frames(folder / "short", frames[:5])
    (folder / "broken.mp4").write_text("no video")
    return folder


def test_it_tells_all_of_data_that_is_partly_broken(
    pictures, videos, tmp_path, capfd
):
    out = tmp_path / "found.json"
    code = _doctor(
        f"--images={pictures}",
        f"--videos={videos}",
        "--tasks=exemplar,motion_segmentation",
        f"--set=data.cache_dir={tmp_path}",
        f"--json={out}",
        *_SMALL,
    )
    text, errors = capfd.readouterr()
    assert (code, errors) == (0, "")
    found = json.loads(out.read_text())
    seen = found["pictures"]
    assert (seen["num_found"], seen["num_usable"]) == (17, 15)
    assert set(seen["unusable"]) == {"empty.jpg", "page.jpg"}
    assert "the file is empty" in text
    assert seen["other_endings"] == {".heic": 1}
    assert [*seen["left_out"]] == [f"{pictures}/pipe.jpg"]
    assert seen["grey"] == ["grey.png"]
    (group,) = seen["nearly_the_same"]
    assert set(group) == {"3.png", "copy.jpg", "half.png"}
    assert seen["short_side_px"]["0"] == 48
    looks = {each["name"]: each for each in found["clips"]["looks"]}
    assert not looks["moves"]["problem"] and not looks["moves"]["is_still"]
    assert looks["still"]["is_still"]
    assert "5 frames" in looks["short"]["problem"]
    assert "not a video" in looks["broken"]["problem"]
    for each in found["paces"].values():
        assert each["step_s"] > 0 and "timed" in each["basis"]
    for part in ("still", "HEIC".lower(), "keep one of each", "4,000 steps"):
        assert part in text


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--images={}/nothing"], "nothing is no folder"),
        (["--images={}"], "holds no picture"),
        (["--videos={}"], "no clip"),
        (["--images={}/file"], "file is no folder"),
        (["--images={}", "--share=0"], "--share=0"),
        (["--images={}", "--share=2"], "--share=2"),
        (["--images={}", "--share=nan"], "--share=nan"),
        ([], "Neither --images nor --videos"),
        (["--images={}", "--json={}/no/x"], "no folder"),
        (["--images={}", "--json={}"], "is a folder. Name a file"),
        (["--images={}", "--tasks=motion_segmentation"], "--videos"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert _doctor(*[each.format(tmp_path) for each in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_share_is_that_many_and_of_training_s_order(pictures):
    facts = picture_facts.look(str(pictures), 0.5, 0.0, None)
    assert 8 <= facts.num_seen <= 10 and not facts.problem
    again = picture_facts.look(str(pictures), 0.5, 0.0, None)
    assert again.names == facts.names


def test_pictures_of_which_none_can_be_used(tmp_path, capsys):
    (tmp_path / "page.jpg").write_text("<html>")
    assert _doctor(f"--images={tmp_path}", "--tasks=exemplar", *_SMALL[:3]) == 0
    said = capsys.readouterr().out
    assert "Training would stop" in said and "no picture can be used" in said


def _facts(sides, is_grey=False, **values):
    count = len(sides)
    found = {
        "source": None,
        "num_seen": count,
        "left_out": [],
        "other_endings": {},
        "unusable": [],
        "names": [str(number) for number in range(count)],
        "sizes": np.array([[2 * side, side] for side in sides]),
        "is_grey": np.full(count, is_grey),
        "groups": [],
        "seconds": 1.0,
        "problem": "",
    }
    return picture_facts.PictureFacts(**{**found, **values})


def test_advice_names_a_setting_that_is_allowed():
    config = config_lib.preset_config("tiny", ["relative_position"])
    assert advice.on_pictures(config, _facts([200] * 10)) == []
    (text,) = advice.on_pictures(config, _facts([150] * 10))
    assert "--set relative_position.max_short_side_px=150" in text
    config_lib.override(config, "relative_position.max_short_side_px=150")
    (text,) = advice.on_pictures(config, _facts([60] * 10))
    # Two patches cannot be cut from it: no setting is named.
    assert "--set" not in text and "Larger pictures" in text


def test_advice_on_grey_pictures_leaves_out_who_learns_from_colours():
    config = config_lib.preset_config("tiny", ["exemplar", "colorization"])
    (text,) = advice.on_pictures(config, _facts([200] * 4, is_grey=True))
    assert "--tasks=exemplar." in text
    only = config_lib.preset_config("tiny", ["colorization"])
    (text,) = advice.on_pictures(only, _facts([200] * 4, is_grey=True))
    assert "No other task" in text


def test_what_needs_no_change_is_no_advice():
    # A kind of fault: "What to change" said that nothing has to be done.
    config = config_lib.preset_config("tiny", ["exemplar"])
    pictures = _facts([200] * 10)
    broken = dataclasses.replace(pictures, unusable=(("a.png", "is cut"),))
    assert advice.on_pictures(config, broken) == []
    looks = [
        clip_facts.ClipLook("a", 40, (64, 48), 9.0, ""),
        clip_facts.ClipLook("b", 0, None, None, "is empty"),
    ]
    clips = clip_facts.ClipFacts(2, looks, None)
    assert advice.on_clips(config, clips) == []
    assert advice.notes(config, broken, clips, ["motion_segmentation"]) == [
        "1 picture cannot be used: training takes others in their place.",
        "1 clip cannot be used: training takes others in their place.",
        "Without --videos training leaves out motion_segmentation.",
    ]
    assert advice.notes(config, pictures, None, ["exemplar"]) == []


def test_advice_on_clips_none_of_which_moves():
    config = config_lib.preset_config(
        "tiny", ["exemplar", "motion_segmentation"]
    )
    look = clip_facts.ClipLook("a", 40, (64, 48), 0.2, "")
    (text,) = advice.on_clips(config, clip_facts.ClipFacts(1, [look], None))
    assert "--tasks=exemplar." in text


def test_hours_and_memory_by_hand():
    config = config_lib.override(
        config_lib.preset_config("small", ["exemplar", "colorization"]),
        "train.steps=3600",
        "exemplar.weight=3",
    )
    # A quarter of the steps at 5 s, the others at 1 s: 2 s a step.
    hours = advice.hours_of(config, {"exemplar": 1.0, "colorization": 5.0})
    assert hours == pytest.approx(2.0)
    assert advice.on_cost(config, hours, 10, 20, "Less.") == []
    memory, time = advice.on_cost(config, 96.0, 2**31, 2**30, "Less.")
    assert "2.0 GiB" in memory and memory.endswith("Less.")
    assert "--preset=tiny" in time and "--hours=48" in time


def test_what_is_not_timed_is_estimated_by_flops():
    cost = dry_run.TaskCost("", 0, 100, 0)
    timed = {"a": pace.TaskPace(cost, 2.0, "timed")}
    other = pace._estimate(dry_run.TaskCost("", 0, 300, 0), timed)
    assert other.step_s == pytest.approx(6.0) and "FLOPs" in other.basis
