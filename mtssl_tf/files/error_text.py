"""What an error of somebody else's says, as a part of a line of ours."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's text; its class's name for none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
