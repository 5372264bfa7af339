"""Every way in which the authorizer does not let a caller in, and what each one means.

    TokenRejected   no token, or not a good one         401   the handler raises `Unauthorized`
    AccessDenied    a good token, not allowed here      403   the handler returns an explicit Deny
    Undecided       nobody can tell                     500   the handler raises; never cached

A `Reason` is stable: it labels metrics and log lines. None of these carries a token, and only
`AccessDenied`, which stands behind the signature, carries what a token says.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shared.principal import Principal


class Reason(StrEnum):
    """Why a call was decided as it was."""

    ALLOWED = "allowed"

    # Rejected: what came is not a token that this API accepts.
    NO_TOKEN = "no_token"  # noqa: S105 - a reason code
    NOT_BEARER = "not_bearer"
    SEVERAL_TOKENS = "several_tokens"
    TOKEN_TOO_LONG = "token_too_long"  # noqa: S105 - a reason code
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - a reason code
    ENCRYPTED_TOKEN = "encrypted_token"  # noqa: S105 - a reason code
    MALFORMED_HEADER = "malformed_header"
    MALFORMED_CLAIMS = "malformed_claims"
    WRONG_ALGORITHM = "wrong_algorithm"
    WRONG_TYPE = "wrong_type"
    CRITICAL_HEADER = "critical_header"
    MISSING_KEY_ID = "missing_key_id"
    UNACCEPTED_VERSION = "unaccepted_version"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_TENANT = "wrong_tenant"
    MALFORMED_TIMES = "malformed_times"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    MISSING_SUBJECT = "missing_subject"
    MISSING_CLIENT = "missing_client"
    CONFLICTING_CLIENT = "conflicting_client"
    UNAUTHENTICATED_CLIENT = "unauthenticated_client"
    MALFORMED_ROLES = "malformed_roles"
    ROLES_ELSEWHERE = "roles_elsewhere"
    UNKNOWN_KEY = "unknown_key"
    FOREIGN_KEY = "foreign_key"
    BAD_SIGNATURE = "bad_signature"
    UNCLEAR_IDENTITY = "unclear_identity"

    # Denied: the token is good, the caller is not allowed.
    DELEGATED_TOKEN = "delegated_token"  # noqa: S105 - a reason code
    MISSING_SCOPE = "missing_scope"
    UNKNOWN_CLIENT = "unknown_client"
    MISSING_ROLE = "missing_role"

    # Undecided: nobody can tell.
    KEY_SET_UNAVAILABLE = "key_set_unavailable"
    SETTINGS_INVALID = "settings_invalid"
    EVENT_NOT_UNDERSTOOD = "event_not_understood"
    IDENTITY_SOURCE = "identity_source"
    POLICY_TOO_LONG = "policy_too_long"
    INTERNAL_ERROR = "internal_error"


WHAT_TO_CHANGE: Final[Mapping[Reason, str]] = {
    Reason.NO_TOKEN: "Send the access token in the Authorization header, after Bearer.",
    Reason.NOT_BEARER: "Begin the Authorization header with Bearer and one space.",
    Reason.SEVERAL_TOKENS: "Send exactly one Authorization header.",
    Reason.TOKEN_TOO_LONG: "Keep groups and other long lists out of this API's tokens.",
    Reason.MALFORMED_TOKEN: "Send the access token exactly as Entra ID issued it.",
    Reason.ENCRYPTED_TOKEN: "Turn token encryption off in the API's registration.",
    Reason.MALFORMED_HEADER: "Send the access token exactly as Entra ID issued it.",
    Reason.MALFORMED_CLAIMS: "Send the access token exactly as Entra ID issued it.",
    Reason.WRONG_ALGORITHM: "Send a token that Entra ID signed with RS256.",
    Reason.WRONG_TYPE: "Send an access token; this is another kind of token.",
    Reason.CRITICAL_HEADER: "Send a plain Entra ID token, without critical header extensions.",
    Reason.MISSING_KEY_ID: "Send a token whose header names its signing key (kid).",
    Reason.UNACCEPTED_VERSION: (
        "Set requestedAccessTokenVersion in the API's registration to 2, or add the token's"
        " version to ACCEPTED_TOKEN_VERSIONS."
    ),
    Reason.WRONG_ISSUER: "Ask ENTRA_TENANT_ID in ENTRA_CLOUD for the token, or correct them.",
    Reason.WRONG_AUDIENCE: (
        "Ask for the token with the scope <API_APP_ID_URI>/.default, or correct API_CLIENT_ID."
    ),
    Reason.WRONG_TENANT: "Ask ENTRA_TENANT_ID for the token, or correct that setting.",
    Reason.MALFORMED_TIMES: "Send the access token exactly as Entra ID issued it.",
    Reason.EXPIRED: "Ask Entra ID for a new token.",
    Reason.NOT_YET_VALID: "Set the caller's clock; the token is not valid yet.",
    Reason.LIFETIME_TOO_LONG: "Send a token that Entra ID issued: none of its own lives so long.",
    Reason.MISSING_SUBJECT: "Create a service principal for the caller in this tenant.",
    Reason.MISSING_CLIENT: "Send an access token; this one names no calling application.",
    Reason.CONFLICTING_CLIENT: "Send a token that names one calling application, not two.",
    Reason.UNAUTHENTICATED_CLIENT: (
        "Give the calling application a credential: a managed identity, a certificate or a"
        " federated one."
    ),
    Reason.MALFORMED_ROLES: "Emit roles as Entra ID does: an array of strings.",
    Reason.ROLES_ELSEWHERE: "Assign the roles so that they fit into the token.",
    Reason.UNKNOWN_KEY: "Ask Entra ID for a new token; the tenant does not publish this one's key.",
    Reason.FOREIGN_KEY: "Ask ENTRA_TENANT_ID for the token; another issuer's key signed it.",
    Reason.BAD_SIGNATURE: "Send the access token exactly as Entra ID issued it.",
    Reason.UNCLEAR_IDENTITY: "Add the optional claim idtyp to the API's access tokens.",
    Reason.DELEGATED_TOKEN: (
        "Call as an application, or name the accepted scopes in DELEGATED_SCOPES."
    ),
    Reason.MISSING_SCOPE: "Ask for one of the scopes that DELEGATED_SCOPES names.",
    Reason.UNKNOWN_CLIENT: "Add the caller's application ID to ALLOWED_CLIENT_IDS.",
    Reason.MISSING_ROLE: "Assign one of the API's app roles to the caller, then get a new token.",
    Reason.KEY_SET_UNAVAILABLE: "Let the function reach the tenant's key set over https.",
    Reason.SETTINGS_INVALID: "Correct the settings that this log line names.",
    Reason.EVENT_NOT_UNDERSTOOD: "Attach the function to API Gateway as an authorizer.",
    Reason.IDENTITY_SOURCE: (
        "Make the Authorization header an identity source of the authorizer, and $context.routeKey"
        " one if and only if HTTP_API_CACHES_BY_ROUTE is true."
    ),
    Reason.POLICY_TOO_LONG: (
        "Shorten the route's path or the stage's name: API Gateway takes 512 characters."
    ),
    Reason.INTERNAL_ERROR: "Report this; it is a fault of the authorizer.",
}
"""For each reason to refuse, one sentence that says what to change."""


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
        """The message is fixed; anything else becomes a 500."""
        super().__init__("Unauthorized")
