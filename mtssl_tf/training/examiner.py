"""What a run is looked at for now and then: held out, rank, probe, pictures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import dataclasses
import functools
import pathlib
from typing import Any

from absl import logging
import cv2
import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.frozen import rank
from mtssl_tf.process import atomic_file
from mtssl_tf.process import memory
from mtssl_tf.process import stop_signal
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import progress as progress_lib
from mtssl_tf.reports import run_log
from mtssl_tf.training import judge as judge_lib
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import run_directory
from mtssl_tf.training import trunk_rank

_NUM_DRAWN = 8  # ours

# Writes a line: task, split, values, rates.
Write = Callable[[str, str, Mapping[str, float], Mapping[str, float]], None]


class Examiner:
    """Looks at a run after some of its steps, and changes nothing in it."""

    def __init__(
        self,
        run: run_lib.Run,
        workdir: pathlib.Path,
        log: run_log.RunLog,
        progress: progress_lib.ProgressLine,
        write: Write,
    ) -> None:
        """Opens what it looks at.

        Args:
            run: as it is trained.
            workdir: of the run, where pictures go.
            log: gets what is about no task.
            progress: says what is waited for.
            write: gets what is about a task.
        """
        self._run = run
        self._workdir = workdir
        self._log = log
        self._progress = progress
        self._write = write
        train = run.config.train
        self._judges = judge_lib.build_judges(run)
        self._rank = trunk_rank.TrunkRank(run) if train.rank_every else None
        self._probe = _open_probe(run.config)
        self._last_rank: rank.RankFigures | None = None

    def examine(
        self, step: int, is_last: bool, stop: stop_signal.StopSignal
    ) -> None:
        """Does what is due after so many steps of all tasks.

        Args:
            step: of all tasks.
            is_last: whether it is the run's last.
            stop: cuts any of it short.
        """
        train = self._run.config.train
        is_due = {
            functools.partial(self._judge, step, stop.check): (
                step % train.judge_every == 0 or is_last
            ),
            functools.partial(self._measure_rank, step, stop.check): (
                train.rank_every and (step % train.rank_every == 0 or is_last)
            ),
            functools.partial(self._draw, step, stop.check): (
                step % train.draw_every == 0 or is_last
            ),
            functools.partial(self._measure_probe, step): (
                step % train.probe_every == 0
            ),
        }
        for look, is_its_turn in is_due.items():
            if is_its_turn:
                stop.run_unless_stopped(look)
                memory.give_back_freed_memory()

    def judge_what_was_not(
        self, step: int, is_last: bool, stop: stop_signal.StopSignal
    ) -> None:
        """Judges what a signal cut short at a step, at the last start."""
        if step % self._run.config.train.judge_every and not is_last:
            return
        told = {
            line["task"]
            for line in self._log.lines_of(step)
            if metrics_record.is_judgement(line)
        }
        with stop.nothing_to_lose():
            self._judge(step, stop.check, told)

    @property
    def judged(self) -> list[str]:
        """The names of the tasks that are judged."""
        return list(self._judges)

    def remark(self) -> str:
        """Returns what the progress line says of the last look."""
        last = self._last_rank
        return f"rank {last.rankme:.1f}/{last.most}  " if last else ""

    def _judge(
        self,
        step: int,
        check: Callable[[], None],
        told: Collection[str | None] = (),
    ) -> None:
        """Judges on held-out examples, but not those tasks that are told."""
        for name, judge in list(self._judges.items()):
            if name in told:
                continue
            self._progress.update(step, f"judging {name} on held-out examples")
            try:
                self._write(
                    name, metrics_record.HELD_OUT, judge.judge(check), {}
                )
            except source_lib.SourceError as error:
                logging.warning("%s is not judged: %s", name, error)
                del self._judges[name]

    def _measure_rank(self, step: int, check: Callable[[], None]) -> None:
        if self._rank is None:
            return
        self._progress.update(step, "measuring the trunk's rank")
        try:
            found = self._rank.measure(check)
        except source_lib.SourceError as error:
            logging.warning("The trunk's rank is not measured: %s", error)
            self._rank = None
            return
        self._last_rank = found
        self._log.write_event(step, rank.EVENT, dataclasses.asdict(found))

    def _draw(self, step: int, check: Callable[[], None]) -> None:
        """Shows what each task sees and predicts, and the mixes."""
        folder = self._workdir / run_directory.PICTURES_FOLDER
        folder.mkdir(exist_ok=True)
        for name, judge in self._judges.items():
            check()
            picture = judge.draw(_NUM_DRAWN)
            self._log.board.write_picture(step, f"{name}/examples", picture)
            _save_picture(folder / f"{name}.png", picture)
        mixes = {
            name: weights
            for name, state in self._run.states.items()
            if (weights := state.model.mixing_weights()) is not None
        }
        if mixes:
            from mtssl_tf.reports import mix_picture

            picture = mix_picture.draw_mixes(mixes)
            self._log.board.write_picture(step, "mixing_weights", picture)
            _save_picture(folder / "mixing_weights.png", picture)

    def _measure_probe(self, step: int) -> None:
        if self._probe is None:
            return
        self._progress.update(step, "probing the trunk")
        run = self._run
        accuracy = self._probe.measure(run.trunk, run.config.contract)
        self._log.write_event(step, "probe", accuracy)


def _open_probe(config: config_lib.RunConfig) -> Any:
    """Returns the probe on a labelled folder, or None where none is named."""
    if not config.train.probe:
        return None
    from mtssl_tf.training import (
        probe,  # SciPy, and only where it is asked for.
    )

    return probe.Probe(
        config.train.probe, value_range=config.contract.value_range
    )


def _save_picture(path: pathlib.Path, picture: np.ndarray) -> None:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(path.suffix, bgr)[1]
    with atomic_file.open_new(path) as file:
        file.write(encoded.tobytes())
