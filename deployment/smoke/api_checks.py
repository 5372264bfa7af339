"""The checks of the API in AWS: it tells the public what it must, and lets in whom it must."""

import contextlib
import json
import secrets
from typing import Final

from aws_backend.protected_resource import METADATA_PATH
from azure_function_app.identity.token_diagnosis import diagnose, unverified_roles
from deployment.smoke.advice import ADVICE, unexpected
from deployment.smoke.http_caller import Answer
from deployment.smoke.outcome import CheckBlockedError, CheckFailedError, SmokeCode, shown
from deployment.smoke.target import SmokeTarget
from deployment.smoke.visit import Check, Visit
from shared import claims
from shared.entra import TokenVersion
from shared.formats.base64url import decode_base64url, encode_base64url
from shared.reasons import Reason
from shared.routes import PROTECTED_ROUTES, Role

PAGE: Final = "/v1/records?limit=1"
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_GATEWAYS_OWN_404: Final = "route_unknown"
_SIGNATURE_BYTES: Final = 256
_YEAR_2100: Final = 4_102_444_800
_NO_RECORD: Final = "bridge-smoke-no-such-record"
_WRONG_STAGE: Final = (
    "Check that the URL is the stack's output AwsApiBaseUrl, stage included, and that the API is"
    " deployed."
)
_TAKE_IT_DOWN: Final = (
    "Take the stage out of service now, then give every route but the public ones the stack's"
    " authorizer as the template has it."
)


def page_problem(answer: Answer) -> str | None:
    """Return what the body lacks of a page of the change feed; None if it is one."""
    members = answer.members()
    if not isinstance(members.get("items"), list):
        return "no items"
    if not isinstance(members.get("has_more"), bool):
        return "no has_more"
    return None


async def _health(visit: Visit) -> str:
    answer = await visit.api.ask("GET", "/health")
    if answer.status != _OK or answer.members().get("status") != "ok":
        raise unexpected(answer, _WRONG_STAGE)
    return answer.summary()


async def _metadata(visit: Visit) -> str:
    target = visit.target
    answer = await visit.api.ask("GET", METADATA_PATH)
    if answer.status != _OK:
        raise unexpected(answer, _WRONG_STAGE)
    document = answer.members()
    expected = {
        "resource": target.public_url or target.api_url,
        "authorization_servers": [target.identity.issuer(TokenVersion.V2)],
        "scopes_supported": [target.identity.scope],
        "bearer_methods_supported": ["header"],
    }
    parameters = {
        "resource": "PublicUrl",
        "authorization_servers": "EntraTenantId and EntraCloud",
        "scopes_supported": "ApiClientId and ApiAppIdUri",
        "bearer_methods_supported": "nothing, but call the right API",
    }
    for name, value in expected.items():
        if document.get(name) != value:
            raise CheckFailedError(
                SmokeCode.METADATA_DIFFERS,
                f"{name} is {shown(json.dumps(document.get(name)))}",
                f"The API says another {name} than {shown(json.dumps(value))}: deploy the stack"
                f" with the right {parameters[name]}, or call the API that was meant.",
            )
    return f"HTTP {_OK}, of tenant {target.identity.tenant_id}"


async def _no_token(visit: Visit) -> str:
    for method, path in _harmless_routes():
        answer = await visit.api.ask(method, path, headers=_harmless(method))
        _expect_refusal(
            answer,
            SmokeCode.OPEN_TO_EVERYONE,
            f"ANYBODY GETS IN: {method} {path} is answered without a token. {_TAKE_IT_DOWN}",
        )
        _check_challenge(answer, visit.target)
    return f"HTTP {_UNAUTHORIZED} with the challenge, on {len(_harmless_routes())} routes"


async def _bad_token(visit: Visit) -> str:
    forged = [_forged_token(visit.target)]
    # Without a sign-in the made-up one will do: it has everything right but the signature, too.
    with contextlib.suppress(CheckBlockedError):
        forged.append(_with_another_signature(await visit.token(visit.target.identity.scope)))
    for token in forged:
        visit.secrets.add(token)
        answer = await visit.api.ask("GET", PAGE, headers=_bearer(token))
        _expect_refusal(
            answer,
            SmokeCode.FORGED_TOKEN_ACCEPTED,
            f"ANYBODY GETS IN: a token that nobody has signed opens the API. {_TAKE_IT_DOWN}",
        )
    return f"HTTP {_UNAUTHORIZED} for {len(forged)} forged token(s)"


async def _wrong_role(visit: Visit) -> str:
    token = await visit.token(visit.target.identity.scope)
    answer = await visit.api.ask(
        "DELETE", f"/v1/records/{_NO_RECORD}", headers=_harmless("DELETE") | _bearer(token)
    )
    match answer.status, answer.code:
        case 403, "access_denied":
            return answer.summary()
        case 403, "missing_role":
            raise CheckFailedError(
                SmokeCode.POLICY_TOO_WIDE,
                answer.summary(),
                "The authorizer let a caller through whom only the backend refused: deploy the"
                " authorizer and the backend of one version.",
            )
        case 401, _:
            raise _refused(token, answer, visit.target)
        case (404, "record_not_found") | (412, _) | (200 | 204, _):
            if Role.WRITE in (unverified_roles(token) or ()):
                raise CheckBlockedError(
                    SmokeCode.CALLER_MAY_WRITE,
                    answer.summary(),
                    f"Whoever is signed in has {Role.WRITE}, so nothing is known of others: sign in"
                    f" as somebody who has only {Role.READ}.",
                )
            raise CheckFailedError(
                SmokeCode.ROLE_NOT_ENFORCED,
                answer.summary(),
                f"SOMEBODY GETS IN WHO MUST NOT: a caller without {Role.WRITE} reaches DELETE."
                f" {_TAKE_IT_DOWN}",
                lets_others_in=True,
            )
        case _:
            raise unexpected(answer, _WRONG_STAGE)


async def _read(visit: Visit) -> str:
    token = await visit.token(visit.target.identity.scope)
    answer = await visit.api.ask("GET", PAGE, headers=_bearer(token))
    if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
        raise _refused(token, answer, visit.target)
    if answer.status != _OK:
        raise unexpected(answer, "Look at the access log, by the answer's request ID.")
    problem = page_problem(answer)
    if problem is not None:
        raise CheckFailedError(
            SmokeCode.ANSWER_UNEXPECTED,
            f"{answer.summary()} with {problem}",
            "What answers is not the records API: check the URL.",
        )
    return f"HTTP {_OK} with a page"


def _harmless_routes() -> list[tuple[str, str]]:
    """Return what can be asked without a token and changes nothing, even if it is let in."""
    return [
        (route.method, route.path.replace("{id}", _NO_RECORD))
        for route in PROTECTED_ROUTES
        # A PUT makes a record where there is none.
        if route.method != "PUT"
    ]


def _harmless(method: str) -> dict[str, str]:
    """Return headers that keep the backend from deleting, if there should be such a record."""
    return {"If-Match": '"bridge-smoke"'} if method == "DELETE" else {}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _expect_refusal(answer: Answer, code: SmokeCode, alarm: str) -> None:
    """Raise unless the answer is a 401.

    Loud where the call has reached what is behind the authorizer: any answer but the gateway's own
    refusals has.
    """
    if answer.status == _UNAUTHORIZED:
        return
    is_backends = answer.status < 300 or (  # noqa: PLR2004 - the successes
        answer.status in {_NOT_FOUND, 412, 428} and answer.code not in {None, _GATEWAYS_OWN_404}
    )
    if is_backends:
        raise CheckFailedError(code, answer.summary(), alarm, lets_others_in=True)
    raise unexpected(answer, _WRONG_STAGE)


def _check_challenge(answer: Answer, target: SmokeTarget) -> None:
    """Raise unless the 401 challenges as RFC 6750 section 3 and RFC 9728 section 5.1 have it."""
    challenge = answer.headers.get("www-authenticate", "")
    scheme, _, parameters = challenge.partition(" ")
    if scheme.lower() != "bearer":
        raise CheckFailedError(
            SmokeCode.CHALLENGE_DIFFERS,
            f"{answer.summary()} with WWW-Authenticate {shown(challenge) or 'missing'}",
            "Deploy the template's gateway responses: a 401 has WWW-Authenticate: Bearer.",
        )
    if target.public_url is None:
        return
    metadata = f'resource_metadata="{target.public_url}{METADATA_PATH}"'
    if metadata not in [each.strip() for each in parameters.split(",")]:
        raise CheckFailedError(
            SmokeCode.CHALLENGE_DIFFERS,
            f"{answer.summary()} with WWW-Authenticate {shown(challenge)}",
            f"Deploy the stack once more with PublicUrl={target.public_url}.",
        )


def _forged_token(target: SmokeTarget) -> str:
    """Return a token with everything right but its signature, which is nobody's."""
    version = max(target.identity.token_versions)
    header = {"alg": "RS256", "typ": "JWT", "kid": secrets.token_urlsafe(20)}
    nobody = "0ddba110-0000-4000-8000-000000000003"
    payload: dict[str, object] = {
        claims.ISSUER: target.identity.issuer(version),
        claims.AUDIENCE: max(target.identity.audiences(version)),
        claims.TENANT_ID: target.identity.tenant_id,
        claims.VERSION: version.value,
        claims.SUBJECT: nobody,
        claims.OBJECT_ID: nobody,
        claims.CLIENT_ID_V2: nobody,
        claims.CLIENT_ID_V1: nobody,
        claims.IDENTITY_TYPE: claims.APP_ONLY,
        claims.ROLES: list(Role),
        claims.ISSUED_AT: 0,
        claims.NOT_BEFORE: 0,
        claims.EXPIRES_AT: _YEAR_2100,
    }
    parts = [encode_base64url(json.dumps(part).encode()) for part in (header, payload)]
    return ".".join([*parts, encode_base64url(secrets.token_bytes(_SIGNATURE_BYTES))])


def _with_another_signature(token: str) -> str:
    """Return the token with one bit of its signature flipped; what is no JWT gets one made up."""
    signing_input, _, signature = token.rpartition(".")
    try:
        raw = bytearray(decode_base64url(signature.encode()))
    except ValueError:
        raw = bytearray(_SIGNATURE_BYTES)
    raw[len(raw) // 2] ^= 1
    return f"{signing_input}.{encode_base64url(bytes(raw))}"


def _refused(token: str, answer: Answer, target: SmokeTarget) -> CheckFailedError:
    """Return why the API refused a token that it should take, as far as the token itself shows."""
    findings = diagnose(token, target.identity)
    # A user's token is refused only where DELEGATED_SCOPES does not say otherwise.
    findings = tuple(sorted(findings, key=lambda each: each.code is Reason.DELEGATED_TOKEN))
    if findings and findings[0].code is Reason.DELEGATED_TOKEN:
        advice = (
            "The token stands for a signed-in user: name the scope of the Azure CLI's token in"
            " DelegatedScopes, and the CLI's client ID in AllowedClientIds."
        )
    elif findings:
        advice = findings[0].advice
    else:
        advice = ADVICE.get(answer.code or "", "") or (
            "Find the decision in the authorizer's log, by the answer's request ID: it has the"
            " reason and what to change."
        )
    return CheckFailedError(
        findings[0].code.value if findings else answer.code or SmokeCode.TOKEN_REFUSED,
        answer.summary(),
        advice,
    )


API_CHECKS: Final = (
    Check("health", "GET /health of the API, without a token", "200, status ok", _health),
    Check(
        "metadata",
        f"GET {METADATA_PATH}, without a token",
        "200, naming this API, tenant and scope (RFC 9728)",
        _metadata,
    ),
    Check(
        "no-token",
        "every protected route but PUT, without a token",
        "401 with WWW-Authenticate: Bearer",
        _no_token,
    ),
    Check("bad-token", "GET /v1/records with forged tokens", "401", _bad_token),
    Check(
        "wrong-role",
        "DELETE of a record that does not exist, by a caller who may only read",
        "403 access_denied",
        _wrong_role,
    ),
    Check("read", "GET /v1/records with the caller's token", "200 with a page", _read),
)
