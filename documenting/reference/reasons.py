"""What each of the authorizer's reasons means, beside what it has its owner change."""

from collections.abc import Mapping
from typing import Final

from documenting.reference.tables import code, table, text
from shared.reasons import Reason

MEANINGS: Final[Mapping[Reason, str]] = {
    Reason.ALLOWED: "The call was let in.",
    Reason.NO_TOKEN: "There was no token.",
    Reason.NOT_BEARER: "The header is not of the scheme Bearer.",
    Reason.SEVERAL_TOKENS: "More than one Authorization header came.",
    Reason.TOKEN_TOO_LONG: "The token is longer than any that API Gateway lets through.",
    Reason.MALFORMED_TOKEN: "What came is not a JWT.",
    Reason.ENCRYPTED_TOKEN: "The token is encrypted (JWE), and this API has no key for it.",
    Reason.MALFORMED_HEADER: "The token's header is not the JSON that a JWT has.",
    Reason.MALFORMED_CLAIMS: "The token's claims are not the JSON that a JWT has.",
    Reason.WRONG_ALGORITHM: "The token is not signed with RS256, or not signed at all.",
    Reason.WRONG_TYPE: "The token's header declares another kind of token than a JWT.",
    Reason.CRITICAL_HEADER: "The token demands extensions (crit) that this API does not know.",
    Reason.MISSING_KEY_ID: "The token does not say which key signed it.",
    Reason.UNACCEPTED_VERSION: "The token is of a version (1.0 or 2.0) that is not accepted.",
    Reason.WRONG_ISSUER: "Another authority issued the token: another tenant, or another cloud.",
    Reason.WRONG_AUDIENCE: "The token is for another API, such as Microsoft Graph.",
    Reason.WRONG_TENANT: "The token is of another tenant.",
    Reason.MALFORMED_TIMES: "The token's times are missing or are no numbers.",
    Reason.EXPIRED: "The token's time is over.",
    Reason.NOT_YET_VALID: "The token's time has not begun by this clock.",
    Reason.LIFETIME_TOO_LONG: "The token is valid for longer than Entra ID makes any.",
    Reason.MISSING_SUBJECT: "The token names no object in the directory.",
    Reason.MISSING_CLIENT: "The token names no calling application.",
    Reason.CONFLICTING_CLIENT: "The token's azp and appid are different applications.",
    Reason.UNAUTHENTICATED_CLIENT: "The application proved to Entra ID nothing about itself.",
    Reason.MALFORMED_ROLES: "The token's roles are no array of strings.",
    Reason.ROLES_ELSEWHERE: "Entra ID left the roles out, because they were too many for a token.",
    Reason.UNKNOWN_KEY: "The key that signed the token is not in the tenant's key set.",
    Reason.FOREIGN_KEY: "The key that signed the token is published for another issuer.",
    Reason.BAD_SIGNATURE: "The signature does not fit: the token was changed, or forged.",
    Reason.UNCLEAR_IDENTITY: "The token does not tell an application from a user.",
    Reason.DELEGATED_TOKEN: "The token acts for a signed-in user, and the API takes applications'.",
    Reason.MISSING_SCOPE: "The token acts for a user, without a scope that the API accepts.",
    Reason.UNKNOWN_CLIENT: "The token is good, and its application is not on the list of callers.",
    Reason.MISSING_ROLE: "The token is good, and has none of the API's app roles.",
    Reason.KEY_SET_UNAVAILABLE: "The tenant's key set could not be had; `detail` says why.",
    Reason.SETTINGS_INVALID: "The authorizer's settings are wrong; `problems` names each.",
    Reason.EVENT_NOT_UNDERSTOOD: "What called the function is no authorizer's request.",
    Reason.IDENTITY_SOURCE: "The gateway caches decisions by something other than the token.",
    Reason.POLICY_TOO_LONG: "A resource of the policy is longer than API Gateway takes.",
    Reason.INTERNAL_ERROR: "The authorizer failed in a way that nobody has foreseen.",
}
"""One sentence for each."""


def to_markdown() -> str:
    """Return the reasons as a table of the troubleshooting page."""
    rows = [
        [code(reason.value), _meaning(MEANINGS[reason]), _meaning(reason.what_to_change)]
        for reason in Reason
    ]
    return table(("Code", "Means", "Do"), rows)


def _meaning(sentence: str) -> str:
    # As the page's other tables: a part of a sentence, without its full stop.
    return text(sentence.removesuffix("."))
