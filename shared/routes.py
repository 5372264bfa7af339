"""Every route of the API, with the roles that may call it.

The authorizer makes its policy from this table, the backend checks against it once more, the proxy
lets nothing else through, and a test compares it with the SAM template.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final, NamedTuple


class Role(StrEnum):
    """The app roles that the API's registration declares (`value`, as it appears in `roles`)."""

    READ = "Records.Read"
    WRITE = "Records.Write"


class Route(NamedTuple):
    """One method on one path of the API, below the stage."""

    method: str
    path: str
    """The path as API Gateway's resource spells it, with `{parameters}` in braces."""
    role: Role | None
    """The role that the caller must hold; None opens the route to everyone, without a token."""

    def admits(self, roles: Collection[str]) -> bool:
        """Return whether a caller with these roles may use the route."""
        return self.role is None or self.role in roles


ROUTES: Final = (
    Route("GET", "/health", None),
    Route("GET", "/.well-known/oauth-protected-resource", None),
    Route("GET", "/v1/records", Role.READ),
    Route("GET", "/v1/shards", Role.READ),
    Route("GET", "/v1/records/{id}", Role.READ),
    Route("PUT", "/v1/records/{id}", Role.WRITE),
    Route("DELETE", "/v1/records/{id}", Role.WRITE),
)

PROTECTED_ROUTES: Final = tuple(route for route in ROUTES if route.role is not None)
"""The routes that the authorizer stands in front of."""
