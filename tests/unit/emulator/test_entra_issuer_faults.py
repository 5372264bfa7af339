"""The switches that break and slow the tenant's own addresses."""

import pytest

from emulator.entra.issuer_faults import Condition, IssuerFaults


def test_when_nothing_was_switched_then_the_issuer_is_well() -> None:
    """Nobody who does not ask for a fault gets one."""
    faults = IssuerFaults()

    assert (Condition.WELL, False, 0.0) == (faults.condition, faults.is_broken, faults.seconds)


def test_when_the_issuer_is_broken_and_slowed_then_it_is_broken() -> None:
    """A 503 that comes late would be two faults at once."""
    faults = IssuerFaults()
    faults.slow_down(5.0)
    faults.break_down()

    assert (Condition.BROKEN, True, 0.0) == (faults.condition, faults.is_broken, faults.seconds)


def test_when_the_issuer_is_slowed_after_it_broke_then_it_answers_late() -> None:
    """The last switch holds."""
    faults = IssuerFaults()
    faults.break_down()
    faults.slow_down(5.0)

    assert (Condition.SLOW, False, 5.0) == (faults.condition, faults.is_broken, faults.seconds)


def test_when_the_issuer_is_healed_then_nothing_is_left() -> None:
    """Neither of the two faults."""
    faults = IssuerFaults()
    faults.slow_down(5.0)
    faults.heal()

    assert IssuerFaults() == faults


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_when_a_delay_is_no_delay_then_it_is_refused(seconds: float) -> None:
    """A request must neither wait for ever nor count as slowed when it is not."""
    with pytest.raises(ValueError, match="seconds"):
        IssuerFaults().slow_down(seconds)
