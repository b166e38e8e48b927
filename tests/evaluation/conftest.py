"""Signals in evaluation tests: handlers that a run sets end with the test."""

import pytest


@pytest.fixture(autouse=True)
def signal_handlers(signal_handlers):
    """That of all tests, for every one here."""
