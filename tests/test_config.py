"""Tests for presets, overrides and config.json."""

import dataclasses
import json

import imports
import pytest

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import tasks


@pytest.mark.parametrize("preset", config_lib.PRESETS)
def test_json_gives_the_same_settings(preset):
    config = config_lib.preset_config(preset, list(tasks.TASKS))
    assert config_lib.from_json(config_lib.to_json(config)) == config


def test_overrides_reach_every_section():
    config = config_lib.preset_config("tiny", ["colorization"])
    for assignment, value in (
        ("trunk.num_units=(1,2,3)", (1, 2, 3)),
        ("train.freeze_trunk=true", True),
        ("train.epsilon=1", 1.0),
        ("data.cache_dir=/tmp/x", "/tmp/x"),
        ("motion.method=idt", "idt"),
        ("lasso.l1=0.5", 0.5),
        ("colorization.batch_size=4", 4),
    ):
        config = config_lib.override(config, assignment)
        section, key = assignment.partition("=")[0].split(".")
        part = config.tasks.get(section) or getattr(config, section)
        assert getattr(part, key) == value


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("train.steps", "section.key=value"),
        ("trian.steps=3", "no section 'trian'.*train"),
        ("train.step=3", "no setting 'step'.*steps"),
        ("train.steps=many", "type int, got 'many'"),
        ("train.steps=1.5", "type int, got '1.5'"),
        ("train.steps=0", "steps must be >= 1, got 0"),
        ("data.held_out_images=1", "held_out_images"),
        ("train.intra_op_threads=-1", "intra_op_threads must be >= 0.*-1"),
        ("train.momentum=-0.5", "momentum must be >= 0 and < 1, got -0.5"),
        ("train.momentum=1", "momentum must be >= 0 and < 1"),
        ("train.epsilon=nan", "epsilon"),
        ("train.epsilon=1e999", "epsilon must be finite"),
        ("train.seed=-1", "seed must be >= 0"),
        ("train.seed=4294967296", "seed must be"),
        ("train.seed=[1]", "type int"),
        ("train.profile=a,b", "profile"),
        ("trunk.bn_decay=1.5", "bn_decay must be"),
        ("trunk.num_units=1.5,2,3", "num_units"),
        ("colorization.learning_rate=-1", "learning_rate must be > 0"),
        ("colorization.hidden_channels=0", "hidden_channels must be >= 1"),
        ("colorization.weight=0", "weight must be"),
        ("colorization.crop_px=1000", "crop_px=1000"),
        ("colorization.patches_per_picture=0", "must be >= 1, got 0"),
        (
            "colorization.patches_per_picture=3",
            "batch_size=32 is no multiple of patches_per_picture=3",
        ),
        ("exemplar.batch_size=4", "no section 'exemplar'"),
    ],
)
def test_mistakes_name_the_value_and_the_remedy(assignment, message):
    config = config_lib.preset_config("tiny", ["colorization"])
    with pytest.raises(ValueError, match=message):
        config_lib.override(config, assignment)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="'huge'.*tiny, small, paper"):
        config_lib.preset_config("huge", ["colorization"])
    with pytest.raises(ValueError, match="colorization"):
        config_lib.preset_config("tiny", [])
    with pytest.raises(ValueError, match="twice"):
        config_lib.preset_config("tiny", ["exemplar", "exemplar"])


def test_harmonizing_turns_relative_position_grey():
    # Of the tasks of the paper: it says nothing of others.
    config = config_lib.preset_config("tiny", recipes.default_tasks())
    harmonized = config_lib.harmonize(config)
    changed = config_lib.differences(config, harmonized)
    assert changed == ["tasks.relative_position.grey_input: False -> True"]


def test_lasso_needs_units_of_one_size():
    config = config_lib.preset_config("tiny", ["exemplar"])
    config = config_lib.override(config, "train.use_lasso=true")
    with pytest.raises(ValueError, match="output_stride 16 or 8.*32"):
        config_lib.override(config, "exemplar.output_stride=32")


def test_a_config_of_another_version_is_refused():
    config = config_lib.preset_config("tiny", ["exemplar"])
    text = config_lib.to_json(config).replace('"steps"', '"stepz"')
    with pytest.raises(ValueError, match="stepz"):
        config_lib.from_json(text)


def test_every_difference_is_named():
    old = config_lib.preset_config("tiny", ["exemplar"])
    new = dataclasses.replace(old, train=dataclasses.replace(old.train, seed=7))
    assert config_lib.differences(old, new) == ["train.seed: 0 -> 7"]
    assert config_lib.differences(old, old) == []


def test_settings_need_no_tensorflow():
    code = (
        "from mtssl_tf import config; "
        "config.preset_config('paper', ['colorization'])"
    )
    _, imported = imports.run("-c", code, check=True)
    assert not imports.heavy(imported)


def test_settings_that_are_gone_are_read_where_they_asked_for_nothing():
    config = config_lib.preset_config("tiny", ["image_labels"])
    stored = json.loads(config_lib.to_json(config))
    stored["trunk"]["use_block4"] = False
    stored["tasks"]["image_labels"]["decay_steps"] = 0
    assert config_lib.from_json(json.dumps(stored)) == config
    stored["tasks"]["image_labels"]["decay_steps"] = 80_072
    with pytest.raises(
        ValueError, match="decay_steps=80072 is a setting of an"
    ):
        config_lib.from_json(json.dumps(stored))


@pytest.mark.parametrize(
    "preset, side", [("tiny", 160), ("small", 200), ("paper", 360)]
)
def test_motion_is_looked_for_at_the_size_that_a_preset_sees(preset, side):
    """What is cut from a smaller frame would be enlarged."""
    config = config_lib.preset_config(preset, ["motion_segmentation"])
    assert config.labelled_short_side_px() == side
    larger = config_lib.override(config, "data.labelled_short_side_px=400")
    assert larger.labelled_short_side_px() == 400
    pictures = config_lib.preset_config(preset, ["exemplar"])
    assert pictures.labelled_short_side_px() == 160


def test_a_family_takes_its_own_depth_in_whatever_order():
    tiny = config_lib.preset_config("tiny", ["exemplar"])
    config = config_lib.override(tiny, "trunk.family=vgg16")
    assert config.trunk == dataclasses.replace(
        tiny.trunk, family="vgg16", depth=16, num_units=None
    )
    for assignments in (
        ("trunk.num_units=1,1,1,2,2", "trunk.family=vgg16"),
        ("trunk.family=vgg16", "trunk.num_units=1,1,1,2,2"),
    ):
        trunk = config_lib.override(tiny, *assignments).trunk
        assert (trunk.family, trunk.num_units) == ("vgg16", (1, 1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"'trunk.depth=50'.*\[16\]"):
        config_lib.override(tiny, "trunk.depth=50", "trunk.family=vgg16")
    with pytest.raises(ValueError, match="'alexnet'. Known: resnet_v2, vgg16"):
        config_lib.override(tiny, "trunk.family=alexnet")


def test_a_config_without_a_family_is_a_resnets():
    config = config_lib.preset_config("paper", ["exemplar"])
    stored = json.loads(config_lib.to_json(config))
    assert stored["trunk"].pop("family") == "resnet_v2"
    assert config_lib.from_json(json.dumps(stored)) == config
