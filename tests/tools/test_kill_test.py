"""The tool that kills commands tells good writers from bad ones."""

import json
import pathlib

import pytest
import tensorflow as tf

from tools import kill_digests
from tools import kill_test

# Writes ten numbers, a line each, in half a second.
_WRITER = """
import os, pathlib, sys, time
out = pathlib.Path(sys.argv[1])
numbers = out / "run" / "metrics.jsonl"
numbers.parent.mkdir(exist_ok=True)
done = len(numbers.read_text().split()) if numbers.exists() else 0
for number in range({first}, 10):
    time.sleep(0.05)
    with numbers.open("a") as file:
        file.write(f"{{number}}\\n")
"""


def _scenario(first, moments):
    return kill_test.Scenario(
        "writer",
        lambda inputs, out: ("-c", _WRITER.format(first=first), str(out)),
        kill_digests.hash_files,
        moments,
    )


# A moment that is uniform in time is not uniform in what there is to lose: a
# run whose imports take most of its time was killed before its first
# checkpoint ten times of ten, and had a fault after it.
@pytest.mark.parametrize(
    "moments, first, differing",
    [
        (kill_test.TIMES, "done", 0),
        (kill_test.STEPS, "done", 0),
        (kill_test.STEPS, "0", 1),
    ],
)
def test_what_goes_on_is_equal_and_what_starts_over_differs(
    tmp_path, moments, first, differing
):
    outcome = kill_test.kill_and_compare(
        _scenario(first, moments), tmp_path, tmp_path, kills=3, seed=0
    )
    assert outcome.kills == 3 and not outcome.failed
    assert len(outcome.differing) == differing
    end = "1 differ: ['run/metrics.jsonl']" if differing else "equal to the bit"
    assert end in kill_test.as_table([outcome])


# Shows what it has written at once and whole, and then idles; where that is,
# it will not start.
_WRITES_ONCE = """
import os, pathlib, sys, time
out = pathlib.Path(sys.argv[1]) / "export"
assert not out.exists()
time.sleep(0.05)
out.with_suffix(".partial").write_text("1")
os.replace(out.with_suffix(".partial"), out)
time.sleep(0.3)
"""


def test_who_is_killed_after_the_last_write_has_come_to_the_end(tmp_path):
    scenario = kill_test.Scenario(
        "writes once",
        lambda inputs, out: ("-c", _WRITES_ONCE, str(out)),
        kill_digests.hash_files,
        whole="export",
    )
    outcome = kill_test.kill_and_compare(scenario, tmp_path, tmp_path, 4, 0)
    assert (outcome.kills, outcome.failed, outcome.differing) == (4, "", [])


def test_a_command_that_fails_is_named(tmp_path):
    scenario = kill_test.Scenario(
        "fails", lambda inputs, out: ("-c", "1 / 0"), kill_digests.hash_files
    )
    outcome = kill_test.kill_and_compare(scenario, tmp_path, tmp_path, 1, 0)
    assert outcome.failed.startswith("exit code 1; see ")
    assert "ZeroDivisionError" in (tmp_path / "fails" / "log").read_text()


def test_times_are_left_out_and_nothing_else(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, wall, loss in ((one, 1.0, 0.5), (other, 2.0, 0.5)):
        folder.mkdir()
        (folder / "a.json").write_text(
            f'{{"wall_time_s": {wall}, "loss": {loss}}}'
        )
    assert kill_digests.hash_files(one) == kill_digests.hash_files(other)
    (other / "a.json").write_text('{"wall_time_s": 1.0, "loss": 0.6}')
    assert kill_digests.hash_files(one) != kill_digests.hash_files(other)


def test_a_line_told_twice_differs_from_one_told_once(tmp_path):
    line = json.dumps({"step": 2, "task": "exemplar", "split": "train"})
    digests = []
    for name, lines in (("once", 1), ("twice", 2)):
        path = tmp_path / name
        path.write_text(f"{line}\n" * lines)
        digests.append(kill_digests.hash_metrics(path))
    assert digests[0].keys() == digests[1].keys()
    assert digests[0] != digests[1]


def test_a_mistaken_command_is_named(capsys):
    assert kill_test.main(["kill_test", "--out=x", "--only=trian"]) == 2
    assert "trian" in capsys.readouterr().err


@pytest.mark.long
def test_every_command_comes_to_the_same_end(tmp_path):
    out = pathlib.Path(tmp_path)
    code = kill_test.main(["kill_test", f"--out={out}", "--kills=2"])
    assert code == 0, (out / kill_test.RESULT_FILE).read_text()


def test_a_graph_is_the_same_whatever_was_traced_before(tmp_path):
    def saved(name, factor, num_traced_before):
        for number in range(num_traced_before):
            tf.function(lambda x: x + number).get_concrete_function(1.0)
        module = tf.Module()
        module.weight = tf.Variable(2.0)
        module.apply = tf.function(
            lambda x: factor * x * module.weight,
            [tf.TensorSpec([], tf.float32)],
        )
        tf.saved_model.save(module, str(tmp_path / name))
        return kill_digests.hash_files(tmp_path / name)["saved_model.pb"]

    first = saved("first", 3.0, 0)
    assert saved("again", 3.0, 4) == first
    assert saved("other", 4.0, 0) != first
