"""The retry budget."""

from azure_function_app.aws_api.retry_budget import LARGEST_BALANCE, PER_SECOND, SHARE, RetryBudget
from tests.support.fake_clock import FakeClock


def drained(clock: FakeClock) -> RetryBudget:
    """An account with nothing in it."""
    budget = RetryBudget(clock)
    while budget.withdraw():
        pass
    return budget


def test_when_requests_pay_in_then_a_fifth_of_them_may_be_retried() -> None:
    """A hundred requests are worth twenty retries."""
    budget = drained(FakeClock())
    retries = 0
    for _ in range(100):
        budget.deposit()
        retries += budget.withdraw()

    assert round(100 * SHARE) - 1 <= retries <= round(100 * SHARE)


def test_when_the_account_is_empty_then_no_retry_is_granted() -> None:
    """Just under one is not one."""
    clock = FakeClock()
    budget = drained(clock)
    clock.advance(0.98 / PER_SECOND)

    assert not budget.withdraw()


def test_when_time_passes_then_a_retry_is_granted_again() -> None:
    """A client with few requests may retry, too."""
    clock = FakeClock()
    budget = drained(clock)
    clock.advance(1 / PER_SECOND)

    assert budget.withdraw()
    assert not budget.withdraw()


def test_when_nothing_is_drawn_for_long_then_the_balance_stays_bounded() -> None:
    """A quiet night is no license for a storm in the morning."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    clock.advance(1_000_000)
    for _ in range(1000):
        budget.deposit()
    granted = 0
    while budget.withdraw():
        granted += 1

    assert LARGEST_BALANCE == granted


def test_when_a_client_is_new_then_its_first_calls_may_be_retried() -> None:
    """The account opens with a few in it."""
    assert RetryBudget(FakeClock()).withdraw()
