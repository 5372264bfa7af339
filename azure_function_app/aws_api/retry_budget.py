"""Bounds what retries add to the load: a share of the requests, and a small allowance besides."""

from typing import Final

from shared.clock import Clock

SHARE: Final = 0.2
"""Retries that each request pays in for."""
PER_SECOND: Final = 0.5
"""Retries that time pays in for, so that a client with few requests may retry at all."""
LARGEST_BALANCE: Final = 20.0
_FIRST_BALANCE: Final = 10.0


class RetryBudget:
    """An account: requests and time pay in, retries draw."""

    def __init__(self, clock: Clock) -> None:
        """Open the account with a few retries in it."""
        self._clock = clock
        self._balance = _FIRST_BALANCE
        self._as_of = clock.monotonic()

    def deposit(self) -> None:
        """Pay in for one request."""
        self._balance = min(LARGEST_BALANCE, self._balance + SHARE)

    def withdraw(self) -> bool:
        """Draw one retry; False where there is none left."""
        now = self._clock.monotonic()
        self._balance = min(LARGEST_BALANCE, self._balance + PER_SECOND * (now - self._as_of))
        self._as_of = now
        if self._balance < 1:
            return False
        self._balance -= 1
        return True
