"""Fixtures that several test files share."""

from collections.abc import Callable, Iterator
import os
import pathlib
import shutil
import signal

from mtssl_tf.process import end_signals
from mtssl_tf.process import keras_settings

# Before TensorFlow is imported anywhere, as a command does it.
keras_settings.fix()

from absl import logging  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

from mtssl_tf import train  # noqa: E402
from mtssl_tf.data import sample_set  # noqa: E402

# Tests send signals that a shell, or nohup, may have had this ignore.
for _number in filter(end_signals.is_deaf_to, end_signals.NUMBERS):
    signal.signal(
        _number,
        signal.default_int_handler
        if _number == signal.SIGINT
        else signal.SIG_DFL,
    )

# Operations here are small: to share one costs a sixth more than it gains.
tf.config.threading.set_intra_op_parallelism_threads(1)

# Two replicas on one CPU; must come before the first operation.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

# Most graphs here run a few times: to optimize them takes longer than they do.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

_REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real pictures and clips that tests measure on."""
    default = _REPOSITORY.parent / "shared" / "data"
    folder = pathlib.Path(os.environ.get("MTSSL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MTSSL_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def made_samples(tmp_path_factory) -> pathlib.Path:
    """A folder with the sample set, for copies alone."""
    folder = tmp_path_factory.mktemp("made_samples")
    sample_set.build_sample_set(folder)
    return folder


@pytest.fixture(scope="module")
def samples(made_samples, tmp_path_factory) -> sample_set.SampleSet:
    """A sample set of a file's own, with its cache of labelled clips."""
    folder = tmp_path_factory.mktemp("samples")
    shutil.copytree(made_samples, folder, dirs_exist_ok=True)
    return sample_set.build_sample_set(folder)  # finds it


@pytest.fixture(autouse=True)
def log_verbosity() -> Iterator[None]:
    """Puts back what a command, run in this process, lets into the log.

    A kind of fault: a test's outcome hung on which ones ran before it.
    """
    before = logging.get_verbosity()
    yield
    logging.set_verbosity(before)


@pytest.fixture
def threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command's process sets them; this one's TensorFlow has them already."""
    monkeypatch.setattr(
        tf.config.threading,
        "set_intra_op_parallelism_threads",
        lambda number: None,
    )


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Puts back the handlers that a run sets."""
    numbers = end_signals.NUMBERS
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


@pytest.fixture
def train_here(
    threads_as_they_are: None,
    signal_handlers: None,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., tuple[int, str, str]]:
    """Runs the training command in this process.

    To import TensorFlow takes longer than most of what is looked at. Returns a
    function of flags to the exit code, what went to standard output, and the
    log with what went to standard error.
    """

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        caplog.clear()
        code = train.main(["train", *arguments])
        out, err = capfd.readouterr()
        return code, out, caplog.text + err

    return run


@pytest.fixture(scope="session")
def two_replicas() -> tf.distribute.Strategy:
    """A strategy over two replicas; one for the whole process.

    Collective operations are known by numbers that each strategy counts anew:
    a second strategy would meet the first one's.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


# By far the longest files: with two processes neither is to be left alone
# with one at the end.
_FIRST = ("test_local_run.py", "test_loop.py", "test_nyu_depth.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; all else stays as it is."""
    items.sort(
        key=lambda item: (
            _FIRST.index(item.path.name)
            if item.path.name in _FIRST
            else len(_FIRST)
        )
    )
