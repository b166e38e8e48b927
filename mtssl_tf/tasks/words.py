"""What reports say of a task, for people who have never seen it."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses


@dataclasses.dataclass(frozen=True)
class TaskWords:
    """A task in words; each may be left out.

    Attributes:
        question: that it asks, as 'What will move?'.
        shows: what `Task.draw` draws in a row, as 'frame, what moves'.
        result: a sentence on a judgement, to be formatted with the metrics
            by name, and with a blind guess's as `chance_NAME`.
        measure: the metric that tells what was learned where the loss does
            not, less being better; the loss if it is left out.
        share_right: the metric that is a share of right answers.
    """

    question: str = ""
    shows: str = ""
    result: str = ""
    measure: str = ""
    share_right: str = ""

    def tell(
        self, metrics: Mapping[str, float], chance: Mapping[str, float]
    ) -> str:
        """Returns `result` with its numbers; '' where one of them is missing.

        Args:
            metrics: of the task, by name.
            chance: what a blind guess gets, by name.
        """
        guesses = {f"chance_{name}": value for name, value in chance.items()}
        try:
            return self.result.format(**{**guesses, **metrics})
        except KeyError:  # a run of an older version
            return ""
