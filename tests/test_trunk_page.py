"""The Python examples of docs/trunk.md run as they stand there."""

import pathlib
import re

from mtssl_tf import slim_checkpoint
from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint

_PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "trunk.md"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = [
        each
        for each in re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.S)
        if "mtssl_tf" in each  # the recipe for PyTorch needs PyTorch
    ]
    assert len(examples) == 2
    # What the page has at hand: a published checkpoint, and its import.
    checkpoint.save(
        trunk_lib.build_trunk(model_config.TrunkConfig()), "resnet_v2_101.ckpt"
    )
    slim_checkpoint.main(
        [
            "import",
            "--checkpoint=resnet_v2_101.ckpt",
            "--contract=vgg",
            "--out=runs/multiself",
        ]
    )
    for example in examples:
        exec(compile(example, str(_PAGE), "exec"), {})
    assert (tmp_path / "out" / "model.ckpt.index").is_file()
    assert capsys.readouterr().out.endswith("(1, 14, 14, 1024)\n")
