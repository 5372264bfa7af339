"""What came of the checks of one token, as values that may be shown."""

from dataclasses import dataclass
from enum import StrEnum

from aws_authorizer.claim_checks import AcceptedToken
from shared.principal import Principal
from shared.reasons import Reason


class CheckStatus(StrEnum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not_reached"
    """There is nothing that it could look at, because of what failed before."""


class Outcome(StrEnum):
    """What the authorizer decides, in its log's own words."""

    ALLOWED = "allowed"
    REJECTED = "rejected"
    DENIED = "denied"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one token. Nothing in it is longer or stranger than a line of text."""

    check: str
    """Its stable name: the claim or the member of the header that it is about, or one of
    `characters`, `form`, `header`, `claims`, `times`, `validity`, `order`, `key`, `key_issuer`,
    `signature`, `roles_in_token`, `client` and `role`."""
    status: CheckStatus
    expected: str
    found: str
    reason: Reason | None = None
    """Why the authorizer refuses the token if no check before this one has failed."""
    fix: str | None = None
    """What to change, in words."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the authorizer decides about a token, and every check behind that."""

    outcome: Outcome
    reason: Reason
    """What the authorizer's log says: the reason of the first check that failed."""
    checks: tuple[Check, ...]
    """In the verifier's order; the same checks for every token of one kind."""
    closest: AcceptedToken
    """Of the kinds of token that are accepted, the one that this token gets furthest with."""
    is_verified: bool
    """Whether the signature was checked, and is good. If not, anyone may have written the rest."""
    principal: Principal | None
    """The caller, where every check of the claims has passed; proven only if `is_verified`."""

    @property
    def first_failure(self) -> Check | None:
        """Return the check that decides, if one has failed or could not be made."""
        for check in self.checks:
            if check.reason is not None:
                return check
        return None
