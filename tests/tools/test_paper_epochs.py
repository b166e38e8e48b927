"""What an epoch costs beside the paper's, by hand."""

import pytest

from tools import paper_epochs


def test_an_epoch_by_hand():
    # Of 3600 pictures on a GPU of 100 FLOP a second.
    epochs = paper_epochs.compare(
        {"a": 200.0, "b": 50.0}, {"a": 8.0, "b": 10.0}, 3600, 100.0
    )
    assert epochs["a"].hours == pytest.approx(2.0)
    assert epochs["b"].hours == pytest.approx(0.5)
    # The paper took 4 times as long for a, and 20 times for b.
    assert epochs["a"].examples == pytest.approx(1.0)
    assert epochs["b"].examples == pytest.approx(5.0)


def test_help_is_answered_and_other_flags_are_refused(capsys):
    # A kind of fault: it did all its work, whatever was asked.
    assert paper_epochs.main([paper_epochs.NAME, "--help"]) == 0
    assert "python -m tools.paper_epochs" in capsys.readouterr().out
    assert paper_epochs.main([paper_epochs.NAME, "--gbit=1"]) == 2
    assert "gbit" in capsys.readouterr().err
