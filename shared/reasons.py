"""Why a call was let in or not: one stable code for each reason, spelled alike in both clouds.

A code labels log lines and metrics. It never reaches the caller whose token was refused.
"""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """Says why a call was decided as it was; `what_to_change` says what its owner can do."""

    what_to_change: str
    """One sentence for the owner of the caller or of the API; empty where nothing is wrong."""

    def __new__(cls, code: str, what_to_change: str) -> Self:
        """Make the member from its code, which is its value, and its sentence."""
        reason = str.__new__(cls, code)
        reason._value_ = code
        reason.what_to_change = what_to_change
        return reason

    ALLOWED = "allowed", ""

    # Rejected: what came is not a token that this API accepts.
    NO_TOKEN = "no_token", "Send the access token in the Authorization header, after Bearer."
    NOT_BEARER = "not_bearer", "Begin the Authorization header with Bearer and one space."
    SEVERAL_TOKENS = "several_tokens", "Send exactly one Authorization header."
    TOKEN_TOO_LONG = "token_too_long", "Keep groups and other long lists out of this API's tokens."
    MALFORMED_TOKEN = "malformed_token", "Send the access token exactly as Entra ID issued it."
    ENCRYPTED_TOKEN = "encrypted_token", "Turn token encryption off in the API's registration."
    MALFORMED_HEADER = "malformed_header", "Send the access token exactly as Entra ID issued it."
    MALFORMED_CLAIMS = "malformed_claims", "Send the access token exactly as Entra ID issued it."
    WRONG_ALGORITHM = "wrong_algorithm", "Send a token that Entra ID signed with RS256."
    WRONG_TYPE = "wrong_type", "Send an access token; this is another kind of token."
    CRITICAL_HEADER = (
        "critical_header",
        "Send a plain Entra ID token, without critical header extensions.",
    )
    MISSING_KEY_ID = "missing_key_id", "Send a token whose header names its signing key (kid)."
    UNACCEPTED_VERSION = (
        "unaccepted_version",
        (
            "Set requestedAccessTokenVersion in the API's registration to 2, or add the"
            " token's version to ACCEPTED_TOKEN_VERSIONS."
        ),
    )
    WRONG_ISSUER = (
        "wrong_issuer",
        "Ask ENTRA_TENANT_ID in ENTRA_CLOUD for the token, or correct them.",
    )
    WRONG_AUDIENCE = (
        "wrong_audience",
        "Ask for the token with the scope <API_APP_ID_URI>/.default, or correct API_CLIENT_ID.",
    )
    WRONG_TENANT = "wrong_tenant", "Ask ENTRA_TENANT_ID for the token, or correct that setting."
    MALFORMED_TIMES = "malformed_times", "Send the access token exactly as Entra ID issued it."
    EXPIRED = "expired", "Ask Entra ID for a new token."
    NOT_YET_VALID = "not_yet_valid", "Set the caller's clock; the token is not valid yet."
    LIFETIME_TOO_LONG = (
        "lifetime_too_long",
        "Send a token that Entra ID issued: none of its own lives so long.",
    )
    MISSING_SUBJECT = "missing_subject", "Create a service principal for the caller in this tenant."
    MISSING_CLIENT = (
        "missing_client",
        "Send an access token; this one names no calling application.",
    )
    CONFLICTING_CLIENT = (
        "conflicting_client",
        "Send a token that names one calling application, not two.",
    )
    UNAUTHENTICATED_CLIENT = (
        "unauthenticated_client",
        (
            "Give the calling application a credential: a managed identity, a certificate or"
            " a federated one."
        ),
    )
    MALFORMED_ROLES = "malformed_roles", "Emit roles as Entra ID does: an array of strings."
    ROLES_ELSEWHERE = "roles_elsewhere", "Assign the roles so that they fit into the token."
    UNKNOWN_KEY = (
        "unknown_key",
        "Ask Entra ID for a new token; the tenant does not publish this one's key.",
    )
    FOREIGN_KEY = (
        "foreign_key",
        "Ask ENTRA_TENANT_ID for the token; another issuer's key signed it.",
    )
    BAD_SIGNATURE = "bad_signature", "Send the access token exactly as Entra ID issued it."
    UNCLEAR_IDENTITY = (
        "unclear_identity",
        "Add the optional claim idtyp to the API's access tokens.",
    )

    # Denied: the token is good, the caller is not allowed.
    DELEGATED_TOKEN = (
        "delegated_token",
        "Call as an application, or name the accepted scopes in DELEGATED_SCOPES.",
    )
    MISSING_SCOPE = "missing_scope", "Ask for one of the scopes that DELEGATED_SCOPES names."
    UNKNOWN_CLIENT = "unknown_client", "Add the caller's application ID to ALLOWED_CLIENT_IDS."
    MISSING_ROLE = (
        "missing_role",
        "Assign one of the API's app roles to the caller, then get a new token.",
    )

    # Undecided: the token could not be judged.
    KEY_SET_UNAVAILABLE = (
        "key_set_unavailable",
        "Let the function reach the tenant's key set over https.",
    )
    SETTINGS_INVALID = "settings_invalid", "Correct the settings that this log line names."
    EVENT_NOT_UNDERSTOOD = (
        "event_not_understood",
        "Attach the function to API Gateway as an authorizer.",
    )
    IDENTITY_SOURCE = (
        "identity_source",
        (
            "Make the Authorization header an identity source of the authorizer, and"
            " $context.routeKey one if and only if HTTP_API_CACHES_BY_ROUTE is true."
        ),
    )
    POLICY_TOO_LONG = (
        "policy_too_long",
        "Shorten the route's path or the stage's name: API Gateway takes 512 characters.",
    )
    INTERNAL_ERROR = "internal_error", "Report this; it is a fault of the authorizer."
