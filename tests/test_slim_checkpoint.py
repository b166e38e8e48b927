"""Import and export as a user types them."""

import json

import imports
import numpy as np
import pytest
import slim_reference

from mtssl_tf import config
from mtssl_tf import pretrained
from mtssl_tf import slim_checkpoint as slim_checkpoint_command
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint

TINY = model_config.TrunkConfig(num_units=(1, 1, 2), width=1 / 16)


@pytest.fixture(scope="module")
def models():
    return trunk_lib.build_trunk(TINY), trunk_lib.build_block4(TINY)


@pytest.fixture
def prefix(tmp_path, models):
    """A checkpoint as TF-Slim writes it: no input contract beside it."""
    prefix = str(tmp_path / "slim" / "model.ckpt")
    checkpoint.save(models[0], prefix, block4=models[1])
    return prefix


def _run(*args):
    return slim_checkpoint_command.main([str(arg) for arg in args])


def _features(trunk, block4):
    image = slim_reference.random_image(48, 48)
    return block4(trunk(image)["unit_02"])


def test_import_makes_a_run_directory(tmp_path, prefix, models, capsys):
    out = tmp_path / "run"
    (tmp_path / "run.7-7.partial").mkdir()  # of who was killed
    _run(
        "import",
        f"--checkpoint={prefix}",
        f"--out={out}",
        "--contract=inception",
    )
    assert "matched" in capsys.readouterr().out
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run", "slim"]

    settings = config.from_json((out / "config.json").read_text())
    assert settings.tasks == {}
    assert settings.trunk == TINY
    assert settings.contract == input_contract.NAMED_CONTRACTS["inception"]
    report = (out / slim_checkpoint_command.REPORT_FILE).read_text()
    assert "matched: resnet_v2/conv1/weights [7, 7, 3, 4]" in report

    loaded = pretrained.load_pretrained(str(out))
    assert loaded.contract == input_contract.NAMED_CONTRACTS["inception"]
    np.testing.assert_array_equal(
        _features(loaded.trunk, loaded.block4), _features(*models)
    )


def test_export_and_import_again(tmp_path, prefix, models):
    run, again = tmp_path / "run", tmp_path / "again"
    exported = tmp_path / "out" / "model.ckpt"
    _run("import", f"--checkpoint={prefix}", f"--out={run}", "--contract=vgg")
    _run("export", f"--workdir={run}", f"--out={exported}")
    # The contract went with it.
    _run(
        "import",
        f"--checkpoint={exported}",
        f"--out={again}",
        "--output_stride=8",
    )
    first = pretrained.load_pretrained(str(run))
    second = pretrained.load_pretrained(str(again))
    assert second.contract == input_contract.InputContract()
    assert second.config.output_stride == 8
    assert second.digest == first.digest
    stored = json.loads((again / "config.json").read_text())
    assert stored["contract"]["means_rgb"] == [123.68, 116.779, 103.939]


@pytest.mark.parametrize(
    "flags, message",
    [
        ((), "--contract"),
        (("--contract=imagenet",), "'imagenet'"),
        (("--contract=vgg", "--scope=other"), "other/"),
    ],
)
def test_a_mistake_writes_nothing(tmp_path, prefix, capsys, flags, message):
    out = tmp_path / "run"
    given = (f"--checkpoint={prefix}", f"--out={out}", *flags)
    assert _run("import", *given) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["slim"]


def test_refuses_to_overwrite(tmp_path, prefix, capsys):
    assert _run("import", f"--checkpoint={prefix}", f"--out={tmp_path}") == 2
    assert f"{tmp_path} exists" in capsys.readouterr().err
    assert _run("export", f"--workdir={tmp_path}", f"--out={prefix}") == 2
    assert "model.ckpt.index exists" in capsys.readouterr().err


def test_help_answers_at_once():
    command = ("-m", "mtssl_tf.slim_checkpoint", "import", "--help")
    shown, imported = imports.run(*command, check=True)
    assert "--contract" in shown.stdout
    assert not imports.heavy(imported)
