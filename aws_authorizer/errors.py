"""Every way in which the authorizer does not let a caller in, and what each one means.

    TokenRejected   no token, or not a good one         401   the handler raises `Unauthorized`
    AccessDenied    a good token, not allowed here      403   the handler returns an explicit Deny
    Undecided       the token could not be judged       500   the handler raises; never cached

Each has a `Reason`, which is stable. None of these carries a token, and only `AccessDenied`, which
stands behind the signature, carries what a token says.
"""

from typing import TYPE_CHECKING

from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.principal import Principal


class TokenRejected(Exception):
    """There is no token, or it is not one that this API accepts."""

    def __init__(self, reason: Reason) -> None:
        """Take the reason; it stays in our log and never reaches the caller."""
        super().__init__(reason.value)
        self.reason = reason


class AccessDenied(Exception):
    """The token is good, and its bearer is not allowed. The signature has passed."""

    def __init__(self, reason: Reason, principal: "Principal") -> None:
        """Take the reason and the caller that the token proves."""
        super().__init__(reason.value)
        self.reason = reason
        self.principal = principal


class Undecided(Exception):
    """Whether to let the caller in cannot be told, so API Gateway must answer 500 and not cache."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """Take the reason, and a detail that holds nothing of the request."""
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class KeySetUnavailable(Undecided):
    """There is no key set, fresh or last known good, that could decide about this token."""

    def __init__(self, detail: str) -> None:
        """Take what went wrong with the last fetch."""
        super().__init__(Reason.KEY_SET_UNAVAILABLE, detail)


class Unauthorized(Exception):
    """What Lambda must report for a 401: API Gateway compares the message, character by character.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
    """

    def __init__(self) -> None:
        """Fix the message; anything else becomes a 500."""
        super().__init__("Unauthorized")
