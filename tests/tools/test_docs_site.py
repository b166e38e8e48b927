"""The site of the documents builds, and a link that leads nowhere fails it."""

import configparser
import os
import pathlib
import subprocess
import venv

import pytest

import mtssl_tf

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _packages() -> list[str]:
    """Returns what the extra `docs` installs."""
    setup = configparser.ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    return setup["options.extras_require"]["docs"].split()


@pytest.mark.long
def test_the_site_builds_and_its_links_are_checked(tmp_path):
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", _ROOT, checkout], check=True)
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    install = [programs / "pip", "install", "-q", *_packages()]
    subprocess.run(install, check=True)

    def build() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs / "mkdocs", "build", "--strict"],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            capture_output=True,
            text=True,
        )

    built = build()
    assert built.returncode == 0, built.stderr
    site = checkout / "build" / "site"
    assert (
        "Point it at a folder of pictures" in (site / "index.html").read_text()
    )
    api = (site / "docs" / "api" / "index.html").read_text()
    for name in mtssl_tf.__all__:
        assert f"mtssl_tf.{name}" in api
    # A page links to it, and to a file of the repository, as GitHub shows it.
    assert (site / "examples" / "fine_tune.py").is_file()
    page = checkout / "docs" / "embed.md"
    page.write_text(f"{page.read_text()}\n[x](trunk.md#nowhere) [y](none.md)\n")
    broken = build()
    assert broken.returncode != 0
    assert "nowhere" in broken.stderr and "none.md" in broken.stderr
