"""What differs between a deployed pair and the local one: who gives tokens, keys, alarm states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FunctionKeys:
    """The host's keys. Neither `repr` nor a report shows them."""

    function: str | None = field(repr=False)
    """Opens the functions."""
    master: str | None = field(repr=False)
    """Opens the host's admin API, which starts the timer's function."""

    @classmethod
    def of_listing(cls, document: Mapping[str, object]) -> "FunctionKeys":
        """Return the keys out of what `az functionapp keys list` prints."""
        listed = document.get("functionKeys")
        functions = listed if isinstance(listed, Mapping) else {}
        # Any of them opens every function; the one that Azure makes by itself is `default`.
        names = sorted(functions, key=lambda name: (name != "default", str(name)))
        keys = [functions[name] for name in names if _is_key(functions[name])]
        master = document.get("masterKey")
        return cls(keys[0] if keys else None, master if _is_key(master) else None)  # type: ignore[arg-type]  # a text, as _is_key has seen


class AlarmState(StrEnum):
    """The state of a CloudWatch alarm (`StateValue`)."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class TokenSource(Protocol):
    """Signs the caller in."""

    async def token(self, scope: str) -> str:
        """Return an access token for the scope.

        Raises:
            CheckBlockedError: nobody is signed in, or Entra ID gives this caller no token.

        """


class KeySource(Protocol):
    """Knows the Function App's keys."""

    async def keys(self) -> FunctionKeys:
        """Return the keys.

        Raises:
            CheckBlockedError: whoever is signed in may not list them, or the app is not named.

        """


class AlarmSource(Protocol):
    """Knows the state of the alarm on undecided decisions."""

    async def undecided_alarm(self) -> AlarmState:
        """Return its state.

        Raises:
            CheckBlockedError: nobody is signed in to AWS, or a right is missing.
            CheckFailedError: there is no such stack or alarm.

        """


@dataclass(frozen=True, slots=True)
class SmokeSources:
    """Everything that the checks ask beside the pair itself."""

    tokens: TokenSource
    keys: KeySource
    alarms: AlarmSource


def _is_key(value: object) -> bool:
    # What a header can hold, and nothing that would begin another one.
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)
