"""Image labels: classes from the source, block 4 in the head, the schedule."""

import class_folder_pictures
import cv2
import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.tasks import image_labels


def _examples(source, number):
    dataset = source.stream(
        tf.data.Dataset.range(number), 0, skipped_lib.SkippedExamples()
    )
    return list(dataset)


def test_examples_carry_the_class_of_their_folder(tmp_path):
    source = open_source.open_pictures(
        str(class_folder_pictures.save_class_folders(tmp_path, 4))
    )
    for part in (source, source.subset(np.arange(3, 17))):
        examples = _examples(part, 10)
        for example in examples:
            names = example["class_names"].numpy().astype(str)
            assert list(names) == sorted(class_folder_pictures.COLORS)
            color = class_folder_pictures.COLORS[names[int(example["class"])]]
            picture = cv2.cvtColor(example["image"].numpy(), cv2.COLOR_RGB2BGR)
            assert np.abs(picture.mean(axis=(0, 1)) - color).max() < 15


def test_a_source_without_classes_is_refused_by_the_task(tmp_path):
    class_folder_pictures.save_class_folders(tmp_path, 1)
    (tmp_path / "red" / "0.png").rename(tmp_path / "outside.png")
    source = open_source.open_pictures(str(tmp_path))
    examples = _examples(source, 2)
    assert int(examples[0]["class"]) == -1
    task = image_labels.ImageLabels(image_labels.ImageLabels.presets["tiny"])
    with pytest.raises(ValueError, match="found 0.*folder a class"):
        task.fit(examples)


def test_classes_may_have_names_of_any_letters(tmp_path):
    folder = class_folder_pictures.save_class_folders(tmp_path, 1)
    (folder / "green").rename(folder / "grün")
    source = open_source.open_pictures(str(folder))
    task = image_labels.ImageLabels(image_labels.ImageLabels.presets["tiny"])
    task.use_facts(task.fit(_examples(source, 1)))
    assert "grün" in task.class_names


def test_head_holds_block4_of_the_trunks_width():
    state = task_cases.build_state(task_cases.small_config("image_labels"))
    block4 = state.model.head.get_layer("block4")
    channels = state.model.model.layers[1].output["unit_02"].shape[-1]
    assert block4.output_shape[-1] == 2 * channels
    assert block4.get_layer("postnorm") is not None


def test_learning_rate_falls_by_the_papers_factor():
    task = image_labels.ImageLabels(
        image_labels.ImageLabelsConfig(
            learning_rate=0.5, decay_epochs=2.0, batch_size=8
        )
    )
    # Five steps an epoch.
    task.use_facts({"class_names": np.array(["a", "b"]), "num_pictures": 40})
    schedule = task.learning_rate()
    rates = [float(schedule(step)) for step in (0, 9, 10, 25)]
    np.testing.assert_allclose(rates, 0.5 * 0.94 ** np.array([0, 0, 1, 2]))
    constant = image_labels.ImageLabels(
        image_labels.ImageLabelsConfig(learning_rate=0.5)
    )
    assert constant.learning_rate() == 0.5


@pytest.mark.parametrize(
    "setting, value",
    [("crop_px", 300), ("color_strength", 1.5), ("decay_epochs", -3.0)],
)
def test_impossible_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting}.*{value}"):
        image_labels.ImageLabelsConfig(**{setting: value})
