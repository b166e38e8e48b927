"""Which reproduction a folder is of, so that no other one goes on in it."""

from __future__ import annotations

import json
from typing import Any

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from tools.reproduction import plan

FILE = "begun.json"


def check(options: plan.Options) -> None:
    """Checks that what was begun in the folder is this reproduction.

    Results that are there are not computed again, and those of other costs or
    settings would be taken for these.

    Raises:
        ValueError: it is another one; names what differs.
    """
    path = options.out / FILE
    if not path.exists():
        return
    begun = json_file.load_object(path, "Name another --out.")
    now = _describe(options)
    differing = [
        f"{name}={begun.get(name)!r}"
        for name in now
        if begun.get(name) != now[name]
    ]
    if differing:
        raise ValueError(
            f"--out={options.out} was begun with {', '.join(differing)}. Name "
            "another folder, or give the same."
        )


def save(options: plan.Options) -> None:
    """Notes which reproduction a folder is of.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(_describe(options), indent=2) + "\n"
    atomic_file.write_text(options.out / FILE, text)


def _describe(options: plan.Options) -> dict[str, Any]:
    flags = {kind: list(each) for kind, each in options.flags.items() if each}
    return {
        "preset": options.preset,
        "gpu_hours": options.gpu_hours,
        "flags": flags,
    }
