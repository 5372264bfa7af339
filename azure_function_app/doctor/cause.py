"""Why a check failed: one stable code for each cause, with what it means.

Where a reason of the authorizer or the code of an error says the same, the code is the same word.
"""

from enum import StrEnum
from typing import Self


class Cause(StrEnum):
    """Says why a check does not pass; `meaning` is one sentence for a person."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """Make the member from its code, which is its value, and its sentence."""
        cause = str.__new__(cls, code)
        cause._value_ = code
        cause.meaning = meaning
        return cause

    @classmethod
    def of(cls, code: str) -> Self:
        """Return the cause of that code, such as one of the authorizer's reasons.

        Raises:
            KeyError: there is none.

        """
        return cls._value2member_map_[code]  # type: ignore[return-value]  # an enumeration's own members

    # The app itself and the machine.
    SETTINGS_INVALID = "settings_invalid", "A setting is missing, wrong, or contradicts another."
    PYTHON_UNSUPPORTED = (
        "python_unsupported",
        "This Python is not the version that the app is tested with.",
    )
    MACHINE_CLOCK_OFF = "machine_clock_off", "The clock of the machine that the app runs on is off."
    API_CLOCK_OFF = "api_clock_off", "The API's clock differs from Entra ID's and from ours."
    ISSUER_CLOCK_OFF = "issuer_clock_off", "Entra ID's clock differs from the API's and from ours."
    CLOCKS_APART = "clocks_apart", "Two clocks differ, and there is no third to say which is off."
    PROBE_FAILED = "probe_failed", "The doctor itself failed at this check; that is a fault of it."

    # The credential.
    MANAGED_IDENTITY_MISSING = (
        "managed_identity_missing",
        "There is no managed identity endpoint where the app runs.",
    )
    MANAGED_IDENTITY_UNKNOWN = (
        "managed_identity_unknown",
        "The app has no managed identity of that client ID, or none at all.",
    )
    APPLICATION_UNKNOWN = (
        "application_unknown",
        "The tenant has no application with the client ID that the app gives.",
    )
    APPLICATION_DISABLED = "application_disabled", "The calling application is disabled."
    SECRET_WRONG = "secret_wrong", "The client secret is not one of the application's."
    SECRET_EXPIRED = "secret_expired", "The client secret has expired."
    CERTIFICATE_UNREGISTERED = (
        "certificate_unregistered",
        "The client certificate is not one of the application's.",
    )
    CERTIFICATE_UNUSABLE = (
        "certificate_unusable",
        "The client certificate's file cannot be read, or its password does not open it.",
    )
    CERTIFICATE_NOT_CURRENT = (
        "certificate_not_current",
        "The client certificate or the assertion that it signs is not valid now.",
    )
    FEDERATION_MISMATCH = (
        "federation_mismatch",
        "No federated credential of the application fits the token that vouches for it.",
    )
    FEDERATED_TOKEN_UNUSABLE = (
        "federated_token_unusable",
        "The file with the token that vouches for the application cannot be used.",
    )
    AZURE_CLI_UNUSABLE = (
        "azure_cli_unusable",
        "The Azure CLI is not installed, or nobody is signed in to it.",
    )

    # The token.
    TENANT_UNKNOWN = "tenant_unknown", "Entra ID knows no such tenant in this cloud."
    API_UNKNOWN_IN_TENANT = (
        "api_unknown_in_tenant",
        "The tenant has no API with the App ID URI that a token was asked for.",
    )
    CONSENT_MISSING = (
        "consent_missing",
        "Nobody has consented to the API's permission, or the user is not assigned to it.",
    )
    TOKEN_REFUSED = "token_refused", "Entra ID gave no token, for a reason of its own."
    TOKEN_UNAVAILABLE = "token_unavailable", "No token came, and nobody said why."
    TOKEN_TOO_LONG = "token_too_long", "The token is longer than API Gateway's headers may be."
    ISSUER_NAME_UNKNOWN = "issuer_name_unknown", "The issuer's host name has no address here."
    ISSUER_UNREACHABLE = "issuer_unreachable", "Nobody takes a connection at the issuer's address."
    ISSUER_TIMEOUT = "issuer_timeout", "The issuer did not answer in time."
    ISSUER_TLS = "issuer_tls", "The certificate shown in the issuer's name is not trusted."
    ISSUER_PROXY = "issuer_proxy", "The proxy on the way to Entra ID lets nothing through."
    ISSUER_THROTTLED = "issuer_throttled", "The issuer asks for fewer requests."
    ISSUER_ANSWER = "issuer_answer", "What answers at the issuer's address is not Entra ID."

    # The token against the contract, in the authorizer's own words.
    MALFORMED_TOKEN = "malformed_token", "What came as the token is no JSON Web Token."
    WRONG_TENANT = "wrong_tenant", "The two sides, or the token, are not of one tenant."
    WRONG_ISSUER = "wrong_issuer", "The two sides, or the token, are not of one Entra ID cloud."
    WRONG_AUDIENCE = "wrong_audience", "The token is for another API than the one that is called."
    WRONG_SCOPE = "wrong_scope", "The two sides know the API by different App ID URIs."
    UNACCEPTED_VERSION = "unaccepted_version", "The API does not accept tokens of this version."
    EXPIRED = "expired", "The token has expired."
    NOT_YET_VALID = "not_yet_valid", "The token is not valid yet."
    DELEGATED_TOKEN = "delegated_token", "The token stands for a person, not for an application."
    MISSING_ROLE = "missing_role", "The token has none of the API's app roles that the call needs."
    UNKNOWN_CLIENT = "unknown_client", "The API's allow-list does not name the calling application."
    UNKNOWN_KEY = "unknown_key", "The tenant does not publish the key that signed the token."

    # The issuer's documents.
    DISCOVERY_WRONG = "discovery_wrong", "The discovery document names another issuer."
    KEY_SET_UNAVAILABLE = "key_set_unavailable", "The tenant's key set cannot be read."

    # The way to the API.
    BACKEND_NAME_UNKNOWN = "backend_name_unknown", "The API's host name has no address here."
    BACKEND_UNREACHABLE = "backend_unreachable", "Nobody takes a connection at the API's address."
    BACKEND_TIMEOUT = "backend_timeout", "The API did not answer in time."
    BACKEND_TLS = "backend_tls", "The certificate shown in the API's name is not trusted."
    BACKEND_TLS_NAME = "backend_tls_name", "The API's certificate is for another host name."
    BACKEND_PROXY = "backend_proxy", "The proxy on the way to the API lets nothing through."
    BACKEND_PROTOCOL = "backend_protocol", "What answers at the API's address broke the answer off."
    CLIENT_CERTIFICATE_REFUSED = (
        "client_certificate_refused",
        "The API wants a client certificate (mutual TLS), and has got none that it accepts.",
    )
    API_UNKNOWN = (
        "api_unknown",
        "API Gateway knows no API, or no stage of it, at that address.",
    )
    ROUTE_UNKNOWN = "route_unknown", "The API has no such path: its stage or base path is another."
    API_REDIRECTS = "api_redirects", "The address of the API sends callers elsewhere."
    NOT_THE_API = "not_the_api", "What answers at the address of the API is something else."
    BACKEND_API_KEY = "backend_api_key", "The API wants an API key that one of its plans has."
    BACKEND_FIREWALL = "backend_firewall", "A firewall before the API refuses the call."
    THROTTLED = "throttled", "The API has more calls than it takes."
    QUOTA_EXCEEDED = "quota_exceeded", "The API key's quota is used up."
    BACKEND_FAILED = "backend_failed", "The API's Lambda function failed."
    BACKEND_TIMED_OUT = "backend_timed_out", "The API's Lambda function did not answer in time."
    METADATA_MISSING = "metadata_missing", "The API publishes no metadata that can be read."
    PUBLIC_URL_MISMATCH = (
        "public_url_mismatch",
        "The API's metadata names another address than the one that is called.",
    )

    # The call.
    TOKEN_REJECTED = (
        "token_rejected",
        "The authorizer rejected a token that fits the published contract.",
    )
    BACKEND_FORBIDDEN = "backend_forbidden", "Something other than the API's checks refused."
    AUTHORIZER_UNDECIDED = "authorizer_undecided", "The authorizer could not judge the token."
    AUTHORIZER_SETTINGS_INVALID = (
        "authorizer_settings_invalid",
        "The authorizer's own settings are not valid.",
    )
    FEED_MISSING = "feed_missing", "The API has no feed: nothing was ever imported."
    BACKEND_CONTRACT = "backend_contract", "The API's answer is not what its description promises."
    BACKEND_UNAVAILABLE = "backend_unavailable", "The API says that it is busy or broken."

    # What only the authorizer's own log says, in its words.
    NO_TOKEN = "no_token", "No token reached the authorizer."
    NOT_BEARER = "not_bearer", "What reached the authorizer does not begin with Bearer."
    SEVERAL_TOKENS = "several_tokens", "Several Authorization headers reached the authorizer."
    ENCRYPTED_TOKEN = "encrypted_token", "The token is encrypted."
    MALFORMED_HEADER = "malformed_header", "The token's header is not as Entra ID writes it."
    MALFORMED_CLAIMS = "malformed_claims", "The token's claims are not as Entra ID writes them."
    WRONG_ALGORITHM = "wrong_algorithm", "The token is not signed with RS256."
    WRONG_TYPE = "wrong_type", "The token is of another kind than an access token."
    CRITICAL_HEADER = (
        "critical_header",
        "The token's header has extensions that must be understood.",
    )
    MISSING_KEY_ID = "missing_key_id", "The token does not name the key that signed it."
    MALFORMED_TIMES = "malformed_times", "The token's times are no numbers, or contradict."
    LIFETIME_TOO_LONG = "lifetime_too_long", "The token lives longer than Entra ID's do."
    MISSING_SUBJECT = "missing_subject", "The token names no service principal."
    MISSING_CLIENT = "missing_client", "The token names no calling application."
    CONFLICTING_CLIENT = "conflicting_client", "The token names two calling applications."
    UNAUTHENTICATED_CLIENT = (
        "unauthenticated_client",
        "The calling application proved nothing to Entra ID: it is a public client.",
    )
    MALFORMED_ROLES = "malformed_roles", "The token's roles are no list of names."
    ROLES_ELSEWHERE = "roles_elsewhere", "The token does not hold the roles, but where to ask."
    FOREIGN_KEY = "foreign_key", "The key that signed the token belongs to another issuer."
    BAD_SIGNATURE = "bad_signature", "The token's signature is not that of the key that it names."
    UNCLEAR_IDENTITY = "unclear_identity", "The token does not say whether a user stands behind it."
    MISSING_SCOPE = "missing_scope", "The token has none of the scopes that the API takes."
    EVENT_NOT_UNDERSTOOD = (
        "event_not_understood",
        "The authorizer was called by something other than API Gateway.",
    )
    IDENTITY_SOURCE = "identity_source", "The gateway caches decisions by the wrong values."
    POLICY_TOO_LONG = "policy_too_long", "The route's path or the stage's name is too long."
    INTERNAL_ERROR = "internal_error", "The authorizer failed, which is a fault of it."

    # The store of records and checkpoints.
    STORE_UNAVAILABLE = "store_unavailable", "The store of records and checkpoints does not work."
    STORE_NOT_WRITABLE = "store_not_writable", "The SQLite file or its folder cannot be written."
    STORE_DISK_FULL = "store_disk_full", "The disk of the SQLite file has no room."
    STORE_DAMAGED = "store_damaged", "What is at SQLITE_PATH is no SQLite file of this app."
    STORE_LOCKED = "store_locked", "Another process keeps the SQLite file to itself."
    STORE_TIMED_OUT = "store_timed_out", "The store did not answer in time."
    STORE_NAME_UNKNOWN = "store_name_unknown", "The store's host name has no address here."
    STORE_UNREACHABLE = "store_unreachable", "Nobody takes a connection at the store's address."
    STORE_RIGHTS_MISSING = "store_rights_missing", "The store does not let this app write."
    STORE_ENDPOINT_WRONG = (
        "store_endpoint_wrong",
        "TABLE_ENDPOINT is not the address of an account's table service.",
    )
    STORE_TLS = "store_tls", "The store's certificate is not trusted."
    STORE_ROLE_UNKNOWN = (
        "store_role_unknown",
        "PostgreSQL knows no such role, or refuses its token.",
    )
    STORE_DATABASE_UNKNOWN = "store_database_unknown", "PostgreSQL has no such database."

    # The queue of the sync by shards.
    QUEUE_UNAVAILABLE = "queue_unavailable", "The queue of the sync by shards cannot be used."
