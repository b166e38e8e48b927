"""What the paper's tables need: counted against the paper, and each once."""

import collections
import pathlib

import pytest

from evaluation import imagenet_linear
from mtssl_tf import tasks
from tools.reproduction import plan
from tools.reproduction import tables

_OUT = pathlib.Path("out")
_SOURCES = plan.Sources("pictures", "clips", "train", "test", "voc", "depth")


def _options(**changes):
    return plan.Options(
        **{"out": _OUT, "preset": "paper", "gpu_hours": 7.0, **changes}
    )


def _runs(parts, **changes):
    found = plan.evaluations(parts, _options(**changes))
    trunks = dict.fromkeys(each.training for each in found)
    return [each for each in trunks if each.trunk != tables.RANDOM]


def test_the_tables_have_as_many_rows_as_the_papers():
    """Random weights stand in Figure 3 there; here in Tables 1 and 2 too."""
    count = {name: len(table.rows) for name, table in tables.TABLES.items()}
    assert count == {
        "table1": 5 + 1,
        "table2": 7 + 1,
        "table3": 4,
        "table4": 4,
        "iou75": 2,
    }
    for table in tables.TABLES.values():
        for row in table.rows:
            assert len(row.paper) == len(table.columns)
            assert all(name in tasks.TASKS for name in row.trunk.tasks())


@pytest.mark.parametrize(
    "parts, number",
    [
        (("table1",), 5),  # four tasks and labels
        (("table2",), 7),  # RP, three pairs, three tasks, four, labels
        (("table3",), 4),  # RP and RP+Col, each harmonized or not
        (("table4",), 2),  # four tasks, with a lasso or not
        (("iou75",), 2),
        (("figure3",), 9),  # four tasks and the five combinations
        # Five and five more combinations, two harmonized and one with a lasso.
        (tables.PARTS, 13),
    ],
)
def test_every_run_is_trained_once(parts, number):
    assert len(_runs(parts)) == number
    seeds = dict.fromkeys(("seeds", "fine_tuning_seeds", "figure3_seeds"), 3)
    assert len(_runs(parts, **seeds)) == 3 * number


def test_every_result_is_computed_once():
    found = plan.evaluations(tables.PARTS, _options(preset="tiny"))
    folders = [each.folder() for each in found]
    assert len(set(folders)) == len(folders)
    count = collections.Counter(each.kind for each in found)
    # 14 trunks with random weights, each by all three; mixes of two; and six
    # snapshots of nine.
    assert count == {"linear": 14 + 2 + 9 * 6, "detection": 16, "depth": 16}
    # At the paper's scale the four's last unit is read at the mix's stride as
    # well, for Table 4, and that of the run with a lasso there alone.
    paper = plan.evaluations(tables.PARTS, _options())
    assert len(paper) == len(found) + 1


def test_seeds_of_fine_tuning_are_its_own():
    options = _options(seeds=3, fine_tuning_seeds=2)
    found = plan.evaluations(["table1"], options)
    count = collections.Counter(each.kind for each in found)
    assert count == {"linear": 18, "detection": 12, "depth": 12}
    assert [each.training.seed for each in found[:18]] == [0] * 18


@pytest.mark.parametrize("preset", ["tiny", "small", "paper"])
def test_table_4_is_read_at_one_stride(preset):
    """With another stride the pool would be another."""
    table = tables.TABLES["table4"]
    protocols = []
    for row in table.rows:
        each = plan.cell(table, row, table.columns[0], 0, preset)
        command = plan.evaluation_command(
            each, _SOURCES, _options(preset=preset)
        )
        values = imagenet_linear.define_flags()
        values(["", *command[3:]])
        protocols.append(imagenet_linear.protocols_from_flags(values)["frozen"])
    strides = {each.output_stride for each in protocols}
    assert len(strides) == 1 and strides.pop() <= 16
    assert [each.lasso is None for each in protocols] == [True, False] * 2


def test_a_run_says_what_the_paper_says_of_it():
    trunk = tables.Trunk("RP+Col", harmonize=True)
    training = plan.Training(trunk, 1)
    command = plan.training_command(training, _SOURCES, _options(), ["table3"])
    assert "--tasks=relative_position,colorization" in command
    assert "--harmonize" in command and "--lasso" not in command
    assert "--gpu_hours=7.0" in command
    assert "--costs=out/costs.json" in command
    assert "--set=train.seed=1" in command
    assert not any("videos" in each for each in command)
    assert not any("snapshot" in each for each in command)
    four = plan.training_command(
        plan.Training(tables.FOUR, 0), _SOURCES, _options(), tables.PARTS
    )
    assert "--snapshot_every=1.0" in four and "--videos=clips" in four


def test_labels_are_learned_from_pictures_with_classes():
    training = plan.Training(tables.LABELS, 0)
    command = plan.training_command(training, _SOURCES, _options(), ["table1"])
    assert "--images=train" in command
    first, second = plan.calibration_commands(
        [training, plan.Training(tables.FOUR, 0)], _SOURCES, _options()
    )
    assert "--images=pictures" in first and "--images=train" in second


def test_what_is_missing_is_named_by_its_flag():
    found = plan.evaluations(["table1"], _options())
    sources = plan.Sources(images="pictures", train="train", test="test")
    missing = collections.Counter(
        plan.missing_data(each, sources) for each in found
    )
    assert missing == {
        "": 5,  # linear: all but motion
        "--voc": 5,
        "--depth": 5,
        "--videos": 1,
        "--videos, --voc": 1,
        "--videos, --depth": 1,
    }


def test_a_snapshot_is_found_by_its_place(tmp_path):
    options = _options(out=tmp_path)
    each = plan.Evaluation(plan.Training(tables.FOUR, 0), "linear", snapshot=2)
    folder = tmp_path / each.training.folder() / "snapshots"
    for hours in (1.0, 2.0):
        (folder / f"gpu_hours_{hours:014.6f}").mkdir(parents=True)
    command = plan.evaluation_command(each, _SOURCES, options)
    assert f"--trunk={folder}/gpu_hours_0000002.000000" in command
    later = plan.Evaluation(each.training, "linear", snapshot=3)
    with pytest.raises(FileNotFoundError, match="2 snapshots, and 3"):
        plan.evaluation_command(later, _SOURCES, options)
