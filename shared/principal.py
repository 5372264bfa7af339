"""The caller as the backend sees it, and its way there through the authorizer context.

API Gateway hands the context on as strings, so the roles travel joined by spaces
(Entra ID allows no space in an app role's value).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

DECISION_ID: Final = "decision_id"
"""The context's member that names the authorizer's call which decided.

Gateway and backend log it. A decision that API Gateway has kept still names the call that made it.
"""


class PrincipalMissingError(ValueError):
    """The authorizer context is absent or incomplete: no authorizer stood in front of this call."""


# Not a data class: the authorizer makes one for every token, and this costs it a third.
class Principal(NamedTuple):
    """A caller whose token has been verified."""

    object_id: str
    """The service principal's object ID (`oid`): the identity that is authorized."""
    tenant_id: str
    client_id: str
    """The calling application (`azp` or `appid`)."""
    roles: frozenset[str]
    token_id: str
    """Entra's own ID of the token (`uti`), to find it in the sign-in log; may be empty."""

    def to_context(self) -> dict[str, str]:
        """Return the flat map of strings that API Gateway takes as the authorizer context."""
        return {
            "object_id": self.object_id,
            "tenant_id": self.tenant_id,
            "client_id": self.client_id,
            "roles": " ".join(sorted(self.roles)),
            "token_id": self.token_id,
        }


def parse_context(context: Mapping[str, object]) -> Principal:
    """Return the principal that the authorizer wrote into `requestContext.authorizer`.

    Raises:
        PrincipalMissingError: a member is missing or no string. The caller must then refuse.

    """
    members = {}
    for name in ("object_id", "tenant_id", "client_id", "roles", "token_id"):
        member = context.get(name)
        if not isinstance(member, str):
            raise PrincipalMissingError(f"the authorizer context has no string {name!r}")
        members[name] = member
    return Principal(
        object_id=members["object_id"],
        tenant_id=members["tenant_id"],
        client_id=members["client_id"],
        roles=frozenset(members["roles"].split()),
        token_id=members["token_id"],
    )
