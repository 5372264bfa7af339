"""One round of checks: whom it asks, what it has been given so far, and how long it may take."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from deployment.smoke.http_caller import HttpCaller
from deployment.smoke.outcome import CheckBlockedError, CheckFailedError, SmokeCode
from deployment.smoke.sources import FunctionKeys, SmokeSources
from deployment.smoke.target import SmokeTarget

POLL_SECONDS: Final = 1.0


@dataclass(slots=True)
class Visit:
    """What the checks of one round share. Tokens and keys are asked for once, and kept in here."""

    target: SmokeTarget
    api: HttpCaller
    functions: HttpCaller | None
    sources: SmokeSources
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    say: Callable[[str], None] = lambda _text: None
    """Called with what is being waited for."""
    if_late: CheckFailedError | None = None
    """What the present check has to say if its time is up; None if nothing more than that."""
    secrets: set[str] = field(default_factory=set, repr=False)
    """Everything that no report may show."""
    _tokens: dict[str, str | CheckFailedError] = field(default_factory=dict, repr=False)
    _keys: FunctionKeys | CheckFailedError | None = field(default=None, repr=False)

    async def token(self, scope: str) -> str:
        """Return the caller's token for the scope; a refusal is final for this round.

        Raises:
            CheckBlockedError: nobody is signed in, or Entra ID gives this caller no token.

        """
        if scope not in self._tokens:
            # Also where this is cancelled: who is too slow once is not waited for again.
            self._tokens[scope] = CheckBlockedError(
                SmokeCode.SIGN_IN_MISSING,
                "no token in time",
                "The sign-in did not answer in time: try `az account get-access-token` by hand.",
            )
            try:
                token = await self.sources.tokens.token(scope)
            except CheckFailedError as error:
                self._tokens[scope] = error
            else:
                self._tokens[scope] = token
                self.secrets.add(token)
        found = self._tokens[scope]
        if isinstance(found, CheckFailedError):
            raise found
        return found

    async def keys(self) -> FunctionKeys:
        """Return the Function App's keys; a refusal is final for this round.

        Raises:
            CheckBlockedError: whoever is signed in may not list them.

        """
        if self._keys is None:
            self._keys = CheckBlockedError(
                SmokeCode.KEYS_NOT_READABLE,
                "no keys in time",
                "The Azure CLI did not answer in time: try `az functionapp keys list` by hand.",
            )
            try:
                self._keys = await self.sources.keys.keys()
            except CheckFailedError as error:
                self._keys = error
            else:
                self.secrets.update(filter(None, (self._keys.function, self._keys.master)))
        if isinstance(self._keys, CheckFailedError):
            raise self._keys
        return self._keys

    def late(self, *, otherwise: CheckFailedError) -> CheckFailedError:
        """Return what the present check has to say now that its time is up."""
        return otherwise if self.if_late is None else self.if_late

    def function_app(self) -> HttpCaller:
        """Return the caller of the Function App.

        Raises:
            CheckBlockedError: nobody said where it is.

        """
        if self.functions is None:
            raise CheckBlockedError(
                SmokeCode.TARGET_INCOMPLETE,
                "nothing was asked",
                "Say where the Function App is by --function-app-url, or leave its checks out by"
                " --only.",
            )
        return self.functions


class Check(NamedTuple):
    """One check: its stable ID, what it asks, what it expects, and how it is made."""

    id: str
    asked: str
    expected: str
    make: Callable[[Visit], Awaitable[str]]
    """Returns what came, if it is as expected; else raises a CheckFailedError."""
    waits: bool = False
    """Whether it may wait for something to happen, for all the time there is."""
