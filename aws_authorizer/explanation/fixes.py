"""What to change where a check fails, in words, with the values that it is about.

`Reason.what_to_change` says it for every token that is refused for that reason. Here it is said for
one token: what it holds tells which of several mistakes was made.
"""

from collections.abc import Callable, Mapping
from typing import Final

from aws_authorizer.explanation import identity_fixes
from aws_authorizer.explanation.refused_token import (
    RefusedToken,
    ask_for,
    caller,
    client,
    registration,
    shown_header,
)
from aws_authorizer.explanation.shown_values import (
    count,
    names_application,
    show,
    show_claim,
    show_duration,
)
from aws_authorizer.token import MAX_TOKEN_CHARACTERS
from shared import claims
from shared.reasons import Reason

_SMALL_SKEW_SECONDS: Final = 300
_MILLISECONDS: Final = 100_000_000_000
_JWT_DOTS: Final = 2


def advise(reason: Reason, token: RefusedToken) -> str:
    """Return what to change so that a token like this one is not refused for the reason."""
    advice = _ADVICE.get(reason)
    return (advice(token) if advice is not None else "") or reason.what_to_change


# --- the form


def _advise_length(token: RefusedToken) -> str:
    length = len(token.encoded)
    if length <= MAX_TOKEN_CHARACTERS:
        return (
            "The token has more claims, or longer lists in them, than one of Entra ID's for this"
            f" API needs: keep groups out of it (groupMembershipClaims of {registration(token)})."
        )
    return (
        f"The token has {length:,} characters and API Gateway takes {MAX_TOKEN_CHARACTERS:,}: keep"
        f" groups out of it (groupMembershipClaims of {registration(token)})."
    )


def _advise_form(token: RefusedToken) -> str:
    encoded = token.encoded
    if encoded.split() != [encoded]:
        return "There are spaces or line breaks in the token: send it as one word."
    if not encoded.isascii():
        return (
            "There are characters in the token that none has, such as … where it was cut: copy the"
            " whole token again."
        )
    dots = encoded.count(".")
    if dots != _JWT_DOTS:
        return (
            f"A token of Entra ID's has three parts with dots between them; this one has"
            f" {count(dots + 1, 'part')}: copy the whole token, or send an access token if this is"
            " something else."
        )
    return (
        "A part of the token is no base64url, so characters were lost or added: copy the whole"
        " token again."
    )


def _advise_algorithm(token: RefusedToken) -> str:
    return (
        f"Entra ID signs with RS256, and this token says {shown_header(token, 'alg')}: send the"
        " access token that Entra ID issued, and none that was made elsewhere."
    )


# --- when


def _number(token: RefusedToken, claim: str) -> float | None:
    value = token.claims.get(claim)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _advise_times(token: RefusedToken) -> str:
    times = (claims.EXPIRES_AT, claims.NOT_BEFORE, claims.ISSUED_AT)
    for claim in times:
        number = _number(token, claim)
        if number is not None and number > _MILLISECONDS:
            return f"{claim} is in milliseconds; a token's times are in seconds since 1970."
    return ""


def _advise_expired(token: RefusedToken) -> str:
    ago = token.now - (_number(token, claims.EXPIRES_AT) or token.now)
    advice = (
        f"The token ended {show_duration(ago)} ago: ask Entra ID for a new one. One that comes from"
        " a cache of yours must be asked for again before it ends (exp)."
    )
    if ago - token.contract.leeway < _SMALL_SKEW_SECONDS:
        advice += " If it is new, this machine's clock is ahead: set it."
    return advice


def _advise_not_yet(token: RefusedToken) -> str:
    begins = max(_number(token, claim) or 0.0 for claim in (claims.NOT_BEFORE, claims.ISSUED_AT))
    ahead = begins - token.now
    return (
        f"The token begins in {show_duration(ahead)}, by the clock that was looked at here; the"
        f" authorizer allows clocks to differ by {show_duration(token.contract.leeway)}. Set the"
        " clock that is wrong: this machine's, if a token that was just issued is in the future."
        " CLOCK_LEEWAY_SECONDS takes up to 300 seconds."
    )


# --- who vouches for it


def _advise_key(token: RefusedToken) -> str:
    url = token.api.cloud.key_set_url(token.closest.tenant_id)
    return (
        f"The tenant publishes no key {shown_header(token, 'kid')} at {url}: the token is of"
        " another issuer, or older than the last rotation of keys. Ask Entra ID for a new token;"
        " where the keys were read from a file, that may be too old."
    )


def _advise_no_keys(token: RefusedToken) -> str:
    url = token.api.cloud.key_set_url(token.closest.tenant_id)
    return (
        f"Let this machine reach {url} over https, or give it the keys in a file; and let the"
        " authorizer reach it, if its log has the same reason."
    )


def _advise_foreign_key(token: RefusedToken) -> str:
    return (
        f"The token's key belongs to another issuer than {token.closest.key_issuer}: ask the tenant"
        f" {token.closest.tenant_id} for the token."
    )


def _advise_signature(token: RefusedToken) -> str:
    if "nonce" in token.header:
        return (
            "The token's header has a nonce, as those for Microsoft Graph do, which only Graph can"
            f" verify: {ask_for(token)}."
        )
    return (
        "The token was changed after it was signed, or cut: send the access token exactly as Entra"
        " ID issued it."
    )


# --- what it may do


def _advise_roles_elsewhere(token: RefusedToken) -> str:
    return (
        "The caller has too many roles for a token, so Entra ID wrote a reference in their place:"
        f" assign it fewer app roles of the API {token.api.client_id}."
    )


def _advise_unknown_client(token: RefusedToken) -> str:
    object_id = token.claims.get(claims.OBJECT_ID)
    if names_application(token.claims) and object_id in token.contract.client_ids:
        return (
            f"ALLOWED_CLIENT_IDS has the caller's object ID {show(object_id)}; put its client ID"
            f" {client(token)} in its place."
        )
    return (
        f"Add {client(token)} to ALLOWED_CLIENT_IDS of the authorizer, if this application may"
        " call. That is its client (application) ID, not its object ID."
    )


def _advise_delegated(token: RefusedToken) -> str:
    scopes = show_claim(token.claims, claims.SCOPES)
    return (
        f"A signed-in user stands behind the token (scp {scopes}), and the API takes an"
        " application's own only: get it with a managed identity or a service principal"
        f" ({token.api.scope}), or say in DELEGATED_SCOPES which roles such a scope lends, for"
        " instance <scope>=Records.Read."
    )


def _advise_scope(token: RefusedToken) -> str:
    wanted = ", ".join(sorted(token.contract.delegated_scopes))
    return (
        f"None of the token's scopes ({show_claim(token.claims, claims.SCOPES)}) is one that the"
        f" API takes from users: ask for {token.api.app_id_uri}/<scope> with one of {wanted}."
    )


def _advise_role(token: RefusedToken) -> str:
    known = " or ".join(sorted(token.contract.roles))
    roles = token.claims.get(claims.ROLES)
    said = [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
    if claims.SCOPES in token.claims and token.contract.roles.intersection(said):
        return (
            "The user has a role that the token's scopes do not lend to the application: ask for"
            " another scope, or let DELEGATED_SCOPES lend it."
        )
    for role in said:
        for right in sorted(token.contract.roles):
            if role.lower() == right.lower():
                return (
                    f"The token has the role {show(role)}, and the API knows {right}: correct the"
                    f" app role's value in {registration(token)}, to the letter."
                )
    other = f" It has others ({show(said)}), which mean nothing here." if said else ""
    waiting = (
        ""
        if claims.SCOPES in token.claims
        else " A managed identity's token is cached for up to 24 hours, also across restarts, so it"
        " may lack a role that was assigned after it was issued."
    )
    return (
        f"Assign the app role {known} of the API {token.api.client_id} to {caller(token)}"
        f" (application {client(token)}), then get a new token.{other}{waiting}"
    )


_ADVICE: Final[Mapping[Reason, Callable[[RefusedToken], str]]] = {
    Reason.TOKEN_TOO_LONG: _advise_length,
    Reason.MALFORMED_TOKEN: _advise_form,
    Reason.WRONG_ALGORITHM: _advise_algorithm,
    Reason.UNACCEPTED_VERSION: identity_fixes.advise_version,
    Reason.WRONG_ISSUER: identity_fixes.advise_issuer,
    Reason.WRONG_TENANT: identity_fixes.advise_tenant,
    Reason.WRONG_AUDIENCE: identity_fixes.advise_audience,
    Reason.MISSING_SUBJECT: identity_fixes.advise_subject,
    Reason.MISSING_CLIENT: identity_fixes.advise_client,
    Reason.UNAUTHENTICATED_CLIENT: identity_fixes.advise_unauthenticated,
    Reason.UNCLEAR_IDENTITY: identity_fixes.advise_unclear,
    Reason.MALFORMED_TIMES: _advise_times,
    Reason.EXPIRED: _advise_expired,
    Reason.NOT_YET_VALID: _advise_not_yet,
    Reason.UNKNOWN_KEY: _advise_key,
    Reason.FOREIGN_KEY: _advise_foreign_key,
    Reason.BAD_SIGNATURE: _advise_signature,
    Reason.KEY_SET_UNAVAILABLE: _advise_no_keys,
    Reason.ROLES_ELSEWHERE: _advise_roles_elsewhere,
    Reason.UNKNOWN_CLIENT: _advise_unknown_client,
    Reason.DELEGATED_TOKEN: _advise_delegated,
    Reason.MISSING_SCOPE: _advise_scope,
    Reason.MISSING_ROLE: _advise_role,
}
"""For the reasons that several mistakes can have; the others have one sentence for all tokens."""
