"""Fine-tunes a trunk on labelled pictures, beside one of random weights.

    python examples/fine_tune.py --trunk=EXPORT --train=DIR --test=DIR

DIR has a folder a class. Only Keras and `mtssl_tf.load_trunk` are needed.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import keras

import mtssl_tf

SIZE_PX = 96
BATCH_SIZE = 32


def load_pictures(folder: str, seed: int | None):
    """Returns a tf.data.Dataset of RGB in 0..255 and classes, in batches.

    Shuffled where there is a seed.
    """
    return keras.utils.image_dataset_from_directory(
        folder,
        image_size=(SIZE_PX, SIZE_PX),
        crop_to_aspect_ratio=True,
        batch_size=BATCH_SIZE,
        shuffle=seed is not None,
        seed=seed,
        verbose=False,
    )


def build_classifier(trunk: keras.Model, num_classes: int) -> keras.Model:
    """Puts batch norm, ReLU, a mean over positions and a layer on a trunk."""
    units = trunk.output
    x = units[max(units)]  # the last one, a raw sum
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(trunk.input, keras.layers.Dense(num_classes)(x))


def fine_tune(
    trunk: keras.Model, train: str, test: str, seed: int, epochs: int
) -> float:
    """Returns the accuracy on the test pictures, in percent."""
    pictures, others = load_pictures(train, seed), load_pictures(test, None)
    model = build_classifier(trunk, len(pictures.class_names))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # The dataset shuffles; Keras would warn that it cannot.
    model.fit(pictures, epochs=epochs, shuffle=False, verbose=0)
    return 100 * model.evaluate(others, verbose=0, return_dict=True)["accuracy"]


def main(argv: list[str] | None = None) -> dict[str, list[float]]:
    """Trains both, for each seed, and prints and returns their accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trunk", required=True, help="run or export")
    parser.add_argument("--train", required=True, help="a folder a class")
    parser.add_argument("--test", required=True, help="the same classes")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--json", help="file for the accuracies")
    args = parser.parse_args(argv)
    found: dict[str, list[float]] = {"trained": [], "random": []}
    for seed in range(args.seeds):
        keras.utils.set_random_seed(seed)
        trained = mtssl_tf.load_trunk(args.trunk)
        random = keras.models.clone_model(trained)  # new weights
        for name, trunk in (("trained", trained), ("random", random)):
            accuracy = fine_tune(
                trunk, args.train, args.test, seed, args.epochs
            )
            found[name].append(accuracy)
            print(f"seed {seed}, {name}: {accuracy:.1f} %", flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found) + "\n")
    return found


if __name__ == "__main__":
    main()
