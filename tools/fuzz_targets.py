"""The readers that `tools.fuzz` gives broken files: one process, one reader.

`main` takes TARGET CORPUS [libFuzzer's flags] from the command line.
"""

from __future__ import annotations

from collections.abc import Callable
import io
import json
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile

import atheris

with atheris.instrument_imports(include=["mtssl_tf", "evaluation"]):
    from evaluation.depth import nyu_labelled
    from evaluation.detection import files
    from evaluation.detection import voc_data
    from mtssl_tf import config as config_lib
    from mtssl_tf import recipes
    from mtssl_tf.data import tfrecord_index
    from mtssl_tf.files import picture
    from mtssl_tf.motion import clips
    from mtssl_tf.process import keras_settings
    from mtssl_tf.reports import metrics_log
    from mtssl_tf.slim import archive

import cv2  # noqa: E402
import numpy as np  # noqa: E402

_ALLOWED = (ValueError, OSError)
_PICTURE = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3)


def _encode(suffix: str, dtype: type = np.uint8) -> bytes:
    is_made, data = cv2.imencode(suffix, _PICTURE.astype(dtype))
    return data.tobytes() if is_made else b""


class Target:
    """A reader: `seeds` are whole files of its kind, `read` reads one.

    Attributes:
        folder: an empty folder for the input, in memory.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def seeds(self) -> list[bytes]:
        """Returns whole files to start from."""
        raise NotImplementedError

    def read(self, data: bytes) -> None:
        """Reads a file with these bytes; may raise one of `_ALLOWED`."""
        raise NotImplementedError

    def write(self, name: str, data: bytes) -> pathlib.Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


class Picture(Target):
    """A picture to learn from, whole and at a fraction of its size."""

    def seeds(self):
        kinds = (".jpg", ".png", ".bmp", ".webp", ".tiff", ".jp2", ".avif")
        deep = [_encode(kind, np.uint16) for kind in (".png", ".tiff", ".ppm")]
        return [*map(_encode, kinds), *deep]

    def read(self, data):
        picture.decode_rgb(data)
        picture.decode_rgb(data, smallest_side_px=picture.MIN_SIDE_PX)


class Video(Target):
    """A container file to its last frame."""

    def seeds(self):
        files = []
        for name, code in (("a.mp4", "mp4v"), ("a.avi", "MJPG")):
            path = self.folder / name
            writer = cv2.VideoWriter(
                str(path), cv2.VideoWriter.fourcc(*code), 25, (64, 48)
            )
            for index in range(6):
                writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
            writer.release()
            files.append(path.read_bytes())
        return files

    def read(self, data):
        clip = clips.Clip("a", self.write("clip.mp4", data))
        for _ in clips.read_frames(clip, 32):
            pass


class VocXml(Target):
    """An annotation among those of a devkit."""

    _XML = (
        b"<annotation><filename>a.jpg</filename><size><width>24</width>"
        b"<height>16</height><depth>3</depth></size><object><name>cat</name>"
        b"<difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
        b"<xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )

    def seeds(self):
        return [self._XML, b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + self._XML]

    def read(self, data):
        self.write("JPEGImages/a.jpg", _encode(".jpg"))
        self.write("ImageSets/Main/test.txt", b"a\n")
        self.write("Annotations/a.xml", data)
        voc_data.load_split(str(self.folder), "test", is_strict=False)


class Detections(Target):
    """A JSON file of detections."""

    def seeds(self):
        record = {"image_id": "000001", "category_id": 1, "score": 0.5}
        record["bbox"] = [1, 2, 3, 4]
        return [json.dumps([record]).encode(), b"[" * 2000]

    def read(self, data):
        files.load_detections(self.write("found.json", data), ["000001"])


class NyuMat(Target):
    """NYU's labelled .mat, which is HDF5."""

    def seeds(self):
        import h5py

        with h5py.File(self.folder / "seed.mat", "w") as file:
            file["images"] = np.zeros((2, 3, 24, 16), np.uint8)
            file["rawDepths"] = np.ones((2, 24, 16), np.float32)
        return [(self.folder / "seed.mat").read_bytes()]

    def read(self, data):
        path = self.write("nyu.mat", data)
        pairs = nyu_labelled.NyuLabelledPairs(path, "rawDepths")
        for index in range(min(len(pairs), 3)):
            pairs[index]


class NyuSplit(Target):
    """The official split, a .mat of version 5."""

    def seeds(self):
        import scipy.io

        file = io.BytesIO()
        scipy.io.savemat(file, {"trainNdxs": [1, 2], "testNdxs": [3]})
        return [file.getvalue()]

    def read(self, data):
        nyu_labelled._load_split(self.write("splits.mat", data), 3)


class TfRecord(Target):
    """A file of records, and what lies in each."""

    def seeds(self):
        import tensorflow as tf

        feature = tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[_encode(".jpg")])
        )
        example = tf.train.Example(
            features=tf.train.Features(feature={"image/encoded": feature})
        )
        path = self.folder / "seed.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(example.SerializeToString())
            writer.write(example.SerializeToString())
        return [path.read_bytes()]

    def read(self, data):
        path = self.write("a.tfrecord", data)
        index = tfrecord_index.build_tfrecord_index((str(path),))
        for number in range(len(index)):
            index.read(number)


class Checkpoint(Target):
    """The index of a checkpoint, whose tensors are whole."""

    def seeds(self):
        import tensorflow as tf

        tf.train.Checkpoint(a=tf.Variable(np.ones((8, 8)))).write(
            str(self.folder / "seed")
        )
        return [(self.folder / "seed.index").read_bytes()]

    def read(self, data):
        import tensorflow as tf

        from mtssl_tf.slim import checkpoint

        whole = self.folder / "seed.data-00000-of-00001"
        if not whole.is_file():
            self.seeds()
        self.write("a.index", data)
        shutil.copy(whole, self.folder / "a.data-00000-of-00001")
        try:
            checkpoint.load_pretrained(str(self.folder / "a"))
        except tf.errors.OpError as error:
            raise AssertionError("a raw error of TensorFlow") from error


class Archive(Target):
    """A published checkpoint, packed."""

    def seeds(self):
        seeds = []
        for mode in ("w", "w:gz"):
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode=mode) as tar:
                for name in ("model.ckpt.index", "model.ckpt.data-0-of-1"):
                    member = tarfile.TarInfo(name)
                    member.size = 8
                    tar.addfile(member, io.BytesIO(b"12345678"))
            seeds.append(packed.getvalue())
        return seeds

    def read(self, data):
        for name in ("a.tar", "a.tar.gz"):
            try:
                with archive.open_checkpoint(self.write(name, data)):
                    pass
            except _ALLOWED:
                pass


class KerasFile(Target):
    """A trunk of Keras's own format, in an export."""

    def seeds(self):
        import keras

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.save(self.folder / "seed.keras")
        return [(self.folder / "seed.keras").read_bytes()]

    def read(self, data):
        from mtssl_tf import pretrained

        self.write("trunk.keras", data)
        self.write("config.json", config_json())
        pretrained.load_pretrained(str(self.folder))


class ConfigJson(Target):
    """A run's settings."""

    def seeds(self):
        return [config_json()]

    def read(self, data):
        config_lib.from_json(data.decode(errors="surrogateescape"))


class MetricsLines(Target):
    """A run's metrics."""

    def seeds(self):
        return [b'{"step": 1, "loss": 0.5}\n{"step": 2}\n', b"[1]\n"]

    def read(self, data):
        self.write("metrics.jsonl", data)
        metrics_log.load_metrics(self.folder)


def config_json() -> bytes:
    """Returns the settings of a small run."""
    config = config_lib.preset_config("tiny", recipes.default_tasks())
    return config_lib.to_json(config, version="0", command="c").encode()


_KINDS: dict[str, Callable[[pathlib.Path], Target]] = {
    "picture": Picture,
    "video": Video,
    "voc_xml": VocXml,
    "detections": Detections,
    "nyu_mat": NyuMat,
    "nyu_split": NyuSplit,
    "tfrecord": TfRecord,
    "checkpoint": Checkpoint,
    "archive": Archive,
    "keras_file": KerasFile,
    "config_json": ConfigJson,
    "metrics_lines": MetricsLines,
}


def main() -> None:
    """Reads the corpus, and mutations of it, until libFuzzer has enough."""
    name, corpus = sys.argv[1:3]
    keras_settings.fix()
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    shared_memory = pathlib.Path("/dev/shm")
    folder = tempfile.mkdtemp(
        dir=shared_memory if shared_memory.is_dir() else None
    )
    target = _KINDS[name](pathlib.Path(folder))
    for number, seed in enumerate(target.seeds()):
        (pathlib.Path(corpus) / f"seed{number}").write_bytes(seed)

    def read(data: bytes) -> None:
        try:
            target.read(data)
        except _ALLOWED:
            pass

    # What is imported at the first use takes longer than an input may.
    for seed in target.seeds():
        read(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], read)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
