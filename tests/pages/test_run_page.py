"""The page and the words about a run."""

import json
import re

import page_checker
import pytest
import written_run

from mtssl_tf import tasks
from mtssl_tf.pages import run_page
from mtssl_tf.pages import run_record


def _page(folder):
    text = run_page.as_html(run_page.build(folder))
    return text, page_checker.PageChecker(text)


def test_the_page_is_whole_and_asks_nobody_for_anything(tmp_path):
    text, checker = _page(written_run.write(tmp_path / "run"))
    checker.check_alone()
    assert "<script" not in text and "http" not in text
    assert text.count("data:image/png") == 1
    assert "100 pictures (and judged on 20 more)" in text
    assert "in 3 minutes" in text


def test_the_terminal_says_what_the_page_says(tmp_path):
    built = run_page.build(written_run.write(tmp_path / "run"))
    words = run_page.as_text(built)
    page = re.sub(r"\s+", " ", run_page.as_html(built))
    for part in built.parts:
        for text in (part.verdict.kind, part.verdict.result):
            assert text and text in words and text in page
    for text in (*built.limits, *(step.text for step in built.steps)):
        assert text in words


def test_texts_are_no_html(tmp_path):
    alarm = {"step": 7, "split": "health", "kind": "k", "subject": "s"}
    written = [
        *written_run.lines(),
        alarm | {"message": "<b>worse & worse</b>"},
    ]
    folder = written_run.write(
        tmp_path / "<i>run", written, command="a <b> \udcff"
    )
    text, _ = _page(folder)
    assert "<b>" not in text and "<i>" not in text
    assert "&lt;b&gt;worse &amp; worse&lt;/b&gt;" in text
    assert r"a &lt;b&gt; \xff" in text


def test_events_of_any_kind_are_shown_if_there_are_any(tmp_path):
    plain, _ = _page(written_run.write(tmp_path / "plain"))
    assert "The trunk" not in plain and "Alarms" in plain
    event = {"step": 20, "split": "rank", "rank": {"all": 41.5, "bad": None}}
    written = [*written_run.lines(), event]
    text, _ = _page(written_run.write(tmp_path / "more", written))
    assert "The trunk" in text and "41.5" in text


def test_a_mix_is_shown_if_there_is_one(tmp_path):
    folder = written_run.write(tmp_path / "run")
    assert "Which units" not in _page(folder)[0]
    drawn = folder / "pictures"
    drawn.joinpath("mixing_weights.png").write_bytes(
        next(drawn.iterdir()).read_bytes()
    )
    assert "Which units" in _page(folder)[0]


def test_a_run_on_its_way_says_how_far_it_is(tmp_path):
    folder = written_run.write(
        tmp_path / "run", train={"steps": 500, "hours": 0.0}
    )
    with (folder / "metrics.jsonl").open("a") as log:
        log.write('{"step": 40, "task": "relat')  # being written
    words = run_page.as_text(run_page.build(folder))
    assert "30 steps of 500 so far" in words
    assert "python -m mtssl_tf.train --images=/data/pictures" in words
    # While a process trains it there is nothing to start again.
    (folder / "running.json").write_text("{}")
    words = run_page.as_text(run_page.build(folder))
    assert "--images=/data/pictures" not in words


def test_what_is_exported_is_not_to_be_exported_again(tmp_path):
    folder = written_run.write(tmp_path / "run")
    assert "mtssl_tf.export" in run_page.as_text(run_page.build(folder))
    (tmp_path / "run_export").mkdir()
    words = run_page.as_text(run_page.build(folder))
    assert "mtssl_tf.export" not in words and "mtssl_tf.embed" in words
    assert "run_export, whose README.md says how" in words


def test_a_torn_picture_is_left_out(tmp_path):
    folder = written_run.write(tmp_path / "run")
    (path,) = (folder / "pictures").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert "data:image" not in _page(folder)[0]


def test_tasks_and_settings_of_other_versions_do_no_harm(tmp_path):
    folder = written_run.write(
        tmp_path / "run",
        written_run.lines(task="task_of_2031"),
        tasks=3,
        train=None,
        data=[],
        preset=None,
        command=None,
    )
    (folder / "data.json").unlink()
    words = run_page.as_text(run_page.build(folder))
    assert "Task of 2031: learns" in words and "on pictures" in words
    (folder / "config.json").unlink()
    assert "Task of 2031" in _page(folder)[0]


@pytest.mark.parametrize("stored", ["[]", "{", ""])
def test_damaged_settings_are_named(tmp_path, stored):
    folder = written_run.write(tmp_path / "run")
    (folder / "config.json").write_text(stored)
    with pytest.raises(ValueError, match="config.json"):
        run_page.build(folder)


def test_few_pictures_and_the_sample_set_are_said(tmp_path):
    data = {"images": "/cache/sample_set_v2/images", "videos": ""}
    few = run_page.build(written_run.write(tmp_path / "few", data=data))
    assert "sample set" in few.limits[0] and "100 pictures" in few.limits[1]
    many = written_run.write(tmp_path / "many")
    content = {"images": {"count": 9000, "held_out": 450}}
    (many / "data.json").write_text(json.dumps(content))
    limits = run_page.build(many).limits
    assert not any("pictures" in text for text in limits[:-1])


def test_time_on_a_cluster_is_that_of_the_slowest_task(tmp_path):
    written = [*written_run.lines(), *written_run.lines(task="exemplar")]
    alone = written_run.write(tmp_path / "alone", written)
    assert run_record.load_run(alone).seconds == 360
    folder = written_run.write(
        tmp_path / "many", written, command="train --cluster=auto"
    )
    assert run_record.load_run(folder).seconds == 180


def test_every_task_says_what_it_is_about():
    for task in tasks.TASKS.values():
        assert task.words.question.endswith("?") and task.words.shows
        assert task.words.result.endswith(".")


def test_shares_are_drawn_where_a_rule_has_moved_them(tmp_path):
    names = (written_run.TASK, "exemplar")
    lines = [line for n in names for line in written_run.lines(task=n)]
    plain, _ = _page(written_run.write(tmp_path / "plain", lines))
    assert "How often each task came" not in plain
    for step, share in ((10, 0.75), (20, 0.9)):
        shares = {names[0]: share, names[1]: 1 - share}
        lines.append({"step": step, "split": "shares", "shares": shares})
    figures = dict.fromkeys(names, 0.5)
    lines.append({"step": 20, "split": "weighting", "weighting": figures})
    folder = written_run.write(
        tmp_path / "moved",
        lines,
        tasks={name: {"weight": 1.0} for name in names},
        train={"steps": 30, "weighting": "gradnorm"},
    )
    text, checker = _page(folder)
    checker.check_alone()
    assert "Shares of the steps, by gradnorm" in text
    assert "relative position 90%" in text and "exemplar 10%" in text
    assert "relative inverse training rate" in text
    words = run_page.as_text(run_page.build(folder))
    assert "by gradnorm: relative position 90%, exemplar 10%" in words
    run = run_record.load_run(folder)
    even = dict.fromkeys(names, 0.5)
    assert run.shares[0] == (0, even) and len(run.shares) == 3
    first, second = run_page.build(folder).shares.drawn.lines
    # Each share holds until the next: six corners, of three heights.
    for line in (first, second):
        corners = [tuple(map(float, p.split(","))) for p in line.points.split()]
        assert len(corners) == 6
        assert [x for x, _ in corners[1::2]][:2] == [
            x for x, _ in corners[2::2]
        ]
        heights = [y for _, y in corners]
        assert heights[::2] == heights[1::2] and len(set(heights)) == 3
