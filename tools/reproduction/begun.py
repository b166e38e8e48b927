"""Which reproduction a folder is of, so that no other one goes on in it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from tools.reproduction import plan

FILE = "begun.json"


def check(options: plan.Options, sources: plan.Sources) -> None:
    """Checks that what was begun in the folder is this reproduction.

    Results that are there are not computed again, and those of other costs,
    settings or data would be taken for these. Data may be given later, or no
    more.

    Args:
        options: of this one.
        sources: of this one.

    Raises:
        ValueError: it is another one; names what differs.
    """
    begun = _load(options)
    if not begun:
        return
    now = _describe(options)
    differing = [
        f"{name}={begun.get(name)!r}"
        for name in now
        if begun.get(name) != now[name]
    ]
    given = dataclasses.asdict(sources)
    differing += [
        f"--{name}={source}"
        for name, source in _sources(begun).items()
        if source and given.get(name) and given[name] != source
    ]
    if differing:
        raise ValueError(
            f"--out={options.out} was begun with {', '.join(differing)}. Name "
            "another folder, or give the same; where data were moved, put a "
            "link in the old place."
        )


def save(options: plan.Options, sources: plan.Sources) -> None:
    """Notes which reproduction a folder is of, with all data so far.

    Args:
        options: of this one, checked.
        sources: of this one, checked.

    Raises:
        OSError: it cannot be written.
    """
    given = {k: v for k, v in dataclasses.asdict(sources).items() if v}
    all_given = {**_sources(_load(options)), **given}
    about = {**_describe(options), "sources": all_given}
    text = json.dumps(about, indent=2) + "\n"
    atomic_file.write_text(options.out / FILE, text)


def _load(options: plan.Options) -> dict[str, Any]:
    path = options.out / FILE
    if not path.exists():
        return {}
    return json_file.load_object(path, "Name another --out.")


def _sources(begun: dict[str, Any]) -> dict[str, str]:
    """Returns the data of a folder; earlier versions did not note them."""
    return begun.get("sources") or {}


def _describe(options: plan.Options) -> dict[str, Any]:
    flags = {kind: list(each) for kind, each in options.flags.items() if each}
    return {
        "preset": options.preset,
        "gpu_hours": options.gpu_hours,
        "flags": flags,
    }
