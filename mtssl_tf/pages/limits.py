"""What a run cannot tell, or could not learn: said before it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mtssl_tf.data import sample_set
from mtssl_tf.pages import run_record
from mtssl_tf.pages import verdict as verdict_lib
from mtssl_tf.reports import words

# ours: the trunk of the README's table saw some three thousand.
_FEW = {"images": 1000, "videos": 50}
# ours: of so few a different choice gives different figures.
_FEW_HELD_OUT = {"images": 50, "videos": 10}
NOUNS = {"images": "picture", "videos": "clip"}


def limits(
    run: run_record.RunRecord,
    verdicts: Mapping[str, verdict_lib.Verdict],
    sources: Mapping[str, str],
) -> Iterator[str]:
    """Yields sentences.

    Args:
        run: what is known of it.
        verdicts: on its tasks.
        sources: task -> 'images' or 'videos'.
    """
    if is_sample(run):
        yield (
            "This is the built-in sample set: tiles of a dozen photographs, "
            "and clips made of five of them. What is held out are other tiles "
            "of photographs that were trained on; on photographs of your own "
            "the figures would be worse."
        )
    for kind in dict.fromkeys(sources.values()):
        yield from _on_number(run, kind, sources)
    if any(v.kind == verdict_lib.LEVEL for v in verdicts.values()):
        yield (
            "A task that is level with a blind guess has not begun, which may "
            "be for want of steps as well as of pictures: losses stay there "
            "for a while and then fall."
        )
    if "probe" not in run.measured:
        yield (
            "None of these figures says what the trunk is worth for a task of "
            "yours: train with --probe=DIR, a folder with a folder a class, or "
            "use the evaluations."
        )


def is_sample(run: run_record.RunRecord) -> bool:
    """Returns whether the run is on the built-in sample set."""
    return sample_set.is_part(run.setting("data", "images", str) or "")


def _on_number(
    run: run_record.RunRecord, kind: str, sources: Mapping[str, str]
) -> Iterator[str]:
    examples, noun = run.examples[kind], NOUNS[kind]
    number = examples.trained_on or examples.count
    if number is not None and number < _FEW[kind]:
        seen = max(
            _visits(run, name, number, kind, sources) for name in sources
        )
        often = (
            f", each of them seen some {seen:,.0f} times" if seen > 1 else ""
        )
        yield (
            f"{words.counted(number, noun)} to learn from{often}: what can be "
            f"learned by heart, is. What holds for any {noun} takes "
            f"{'thousands' if kind == 'images' else 'hundreds'} of them."
        )
    held_out = examples.held_out
    if held_out is not None and 0 < held_out < _FEW_HELD_OUT[kind]:
        yield (
            f"Held-out figures are of {words.counted(held_out, noun)}: with "
            "others they may well be better or worse."
        )


def _visits(
    run: run_record.RunRecord,
    task: str,
    number: int,
    kind: str,
    sources: Mapping[str, str],
) -> float:
    """Returns how often a task has seen each of so many examples."""
    if sources[task] != kind or task not in run.tasks:
        return 0.0
    return run.tasks[task].num_steps * batch_size(run, task) / max(number, 1)


def batch_size(run: run_record.RunRecord, task: str) -> int:
    """Returns a task's examples a step; 0 where that is not known."""
    tasks = run.settings.get("tasks")
    options = tasks.get(task) if isinstance(tasks, Mapping) else None
    size = options.get("batch_size") if isinstance(options, Mapping) else None
    return size if isinstance(size, int) else 0
