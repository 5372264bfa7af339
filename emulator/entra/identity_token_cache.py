"""Managed identity tokens kept as Azure keeps them, so that a new role is seen a day later."""

from collections.abc import Callable, Mapping
from typing import Final

from shared.clock import Clock

_LAST_MINUTES: Final = 300
"""Seconds before the end of a token in which a new one is made."""


class IdentityTokenCache:
    """Keeps the token response of each identity and resource until shortly before its end.

    Azure keeps them for up to 24 hours, and nothing that a caller sends makes it ask anew. What is
    refused is not kept.
    """

    def __init__(self, clock: Clock) -> None:
        """Take the clock that the responses' times are compared with."""
        self._clock = clock
        self._responses: dict[tuple[str, str], tuple[float, Mapping[str, object]]] = {}

    def get(
        self, object_id: str, resource: str, make: Callable[[], Mapping[str, object]]
    ) -> dict[str, object]:
        """Return the response that is kept for the identity and the resource, or else a new one."""
        key = (object_id, resource)
        ends, response = self._responses.get(key, (0.0, {}))
        if self._clock.now() >= ends - _LAST_MINUTES:
            response = make()
            self._responses[key] = (float(str(response["expires_on"])), response)
        return dict(response)
