"""The checkout that this package runs from, where there is one."""

from __future__ import annotations

import pathlib
import subprocess


def commit() -> str | None:
    """Returns the commit of the checkout that runs, None outside of one."""
    root = pathlib.Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git here, or a repository of somebody else's
    return answer.stdout.strip()
