"""Opens what `--data` names."""

from __future__ import annotations

import pathlib

from evaluation.depth import folder
from evaluation.depth import nyu_labelled
from evaluation.depth import pairs as pairs_lib
from evaluation.depth import tfds
from mtssl_tf.process import paths


def load_depth_data(
    source: str, split_path: pathlib.Path | None, test_share: float
) -> pairs_lib.DepthData:
    """Opens training and test pairs and checks some of both.

    Args:
        source: NYU's labelled .mat file, 'tfds:NAME', or a folder of `rgb/`
            and `depth/`.
        split_path: of the .mat file's official split; None looks beside it.
        test_share: of a folder's pairs; the other sources bring their split.

    Raises:
        FileNotFoundError: something is not there.
        ValueError: something is not what it should be.
    """
    path = pathlib.Path(source)
    if split_path is not None and not path.is_file():
        raise ValueError(
            f"--split={split_path} is of NYU's .mat file, and --data={source} "
            "is none. Leave it out."
        )
    if source.startswith(paths.TFDS):
        data = tfds.load_depth_tfds(source.removeprefix(paths.TFDS))
    elif path.is_dir():
        data = folder.load_depth_folder(path, test_share)
    elif path.is_file():
        data = nyu_labelled.load_nyu_labelled(path, split_path)
    else:
        raise FileNotFoundError(
            f"--data={source} is neither a folder of rgb/ and depth/, nor "
            "NYU's labelled .mat file, nor tfds:nyu_depth_v2."
        )
    pairs_lib.check_depth(data.train)
    # All: what is wrong with one would be found once training is paid for.
    pairs_lib.check_depth(data.test, len(data.test))
    return data
