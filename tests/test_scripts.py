"""Console scripts, what pip installs, and what the Dockerfile runs."""

import configparser
import pathlib
import re
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def _scripts():
    """Returns each console script's name and attribute of `scripts`."""
    setup = configparser.ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")
    pairs = [line.split(" = ") for line in lines if line]
    return {name: target.split(":") for name, target in pairs}


def _commands_of_dockerfile():
    text = (_ROOT / "Dockerfile").read_text()
    return re.findall(r"^RUN (.*)$", text, re.MULTILINE)


def test_a_script_is_named_after_the_command_it_runs():
    names = {name: target[1] for name, target in _scripts().items()}
    assert names == {f"mtssl-{each}": each for each in names.values()}
    for each in names.values():
        text = (_ROOT / "mtssl_tf" / f"{each}.py").read_text()
        assert '__name__ == "__main__"' in text


@pytest.mark.parametrize("argv, code", [(["--help"], 0), (["--sede=1"], 2)])
def test_a_script_is_the_command(argv, code):
    module, name = _scripts()["mtssl-train"]
    start = f"import sys; from {module} import {name}; sys.exit({name}())"
    results = [
        subprocess.run(
            [sys.executable, *command, *argv],
            cwd=_ROOT,
            capture_output=True,
            text=True,
        )
        for command in (["-c", start], ["-m", "mtssl_tf.train"])
    ]
    assert [each.returncode for each in results] == [code, code]
    assert results[0].stdout == results[1].stdout
    assert results[0].stderr == results[1].stderr


def test_docker_installs_as_the_readme_does():
    readme = (_ROOT / "README.md").read_text()
    found = re.search(
        r"<!-- install -->\n```bash\n(.*?)\n```\n<!-- end -->", readme, re.S
    )
    assert _commands_of_dockerfile() == [found[1]]


@pytest.mark.long
def test_an_install_from_a_wheel_trains_elsewhere(tmp_path):
    """What the Dockerfile runs, in a bare environment: no engine is needed."""
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", _ROOT, checkout], check=True)
    for command in _commands_of_dockerfile():
        subprocess.run(["bash", "-ec", command], cwd=checkout, check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    scripts = checkout / ".venv" / "bin"
    (checkout / "mtssl_tf").rename(checkout / "not_what_is_installed")
    environment = {"PATH": f"{scripts}:/usr/bin:/bin", "HOME": str(tmp_path)}

    def run(*command):
        return subprocess.run(
            command,
            cwd=elsewhere,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )

    trained = run("mtssl-train", "--steps=8", "--workdir=run")
    # Nothing of TensorFlow's own: it is this program that speaks.
    foreign = r"cuda|oneDNN|absl::InitializeLog|Sharding|deprecated"
    assert not re.search(foreign, trained.stderr, re.IGNORECASE)
    run("mtssl-export", "--workdir=run", "--out=trunk")
    assert "What next" in run("mtssl-report", "run").stdout
    assert (elsewhere / "run" / "report.html").is_file()
    pictures = next((tmp_path / ".cache").rglob("images"))
    run("mtssl-embed", "--trunk=trunk", f"--images={pictures}", "--out=v.csv")
    assert len((elsewhere / "v.csv").read_text().splitlines()) > 1
    package = run(
        scripts / "python", "-c", "import mtssl_tf; print(mtssl_tf.__file__)"
    )
    assert "site-packages" in package.stdout
    for foreign_name in ("evaluation", "tools"):
        with pytest.raises(subprocess.CalledProcessError):
            run(scripts / "python", "-c", f"import {foreign_name}")
