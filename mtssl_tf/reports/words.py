"""Counts and times as people say them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Returns such as '1 clip' or '2,000 clips'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(hours: float) -> str:
    """Returns such as '13 minutes' or '2.5 hours'."""
    if hours < 1:
        return f"{60 * hours:.0f} minutes" if hours > 1 / 40 else "a minute"
    return f"{hours:,.1f} hours"
