"""What the evidence means, as a whole: one lie each, and the root cause is what fails."""

import json
from typing import Any

import pytest

from azure_function_app.doctor.checks.app_checks import TESTED_PYTHON
from azure_function_app.doctor.evidence import Broke
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.report import CheckName, Status
from tests.support.doctor_evidence import (
    API,
    BASE_URL,
    CALLER,
    CLAIMS,
    ENVIRONMENT,
    LOGIN,
    METADATA,
    NOW,
    OTHER,
    SECRET,
    TENANT,
    URI,
    answered,
    failed,
    failures,
    judged,
    obtained,
    problem,
    subject,
    unanswered,
)

ROUTE = "GET /v1/records"


def test_when_all_is_well_then_every_check_passes() -> None:
    """In the declared order, each with what was found."""
    checks = judged()

    assert list(CheckName) == list(checks)
    assert {Status.PASSED} == {check.status for check in checks.values()}
    assert all(check.found for check in checks.values())
    assert (3, 13) == TESTED_PYTHON


Lie = tuple[dict[str, str], dict[str, Any], str, str, str | None, str | None]
"""Settings, evidence, the check and the cause that must fail, what to set, and to what."""

NO_CALL: dict[str, Any] = {"call": None}
NO_TOKEN_NO_CALL = ("token", None)


def metadata(**changes: object) -> Any:
    """The API's metadata with changes."""
    return answered(METADATA | changes)


OF_OTHER_TENANT = CLAIMS | {"tid": OTHER, "iss": f"{LOGIN}/{OTHER}/v2.0"}
SERVERS_OF_OTHER: dict[str, object] = {"authorization_servers": [f"{LOGIN}/{OTHER}/v2.0"]}
UNKNOWN_TENANT: Any = answered({"error_codes": [90002]}, 400)
REFUSED = problem(401, "token_rejected", "UnauthorizedException")
DENIED = problem(403, "access_denied", "AccessDeniedException")
DERIVED = {"API_APP_ID_URI": ""}
V1 = CLAIMS | {
    "ver": "1.0",
    "iss": f"https://sts.windows.net/{TENANT}/",
    "aud": URI,
    "appid": CALLER,
}

LIES: dict[str, Lie] = {
    # Who asks.
    "no identity on a laptop": (
        {"IDENTITY_ENDPOINT": "", "at": "laptop"},
        {"token": failed(obstacle=Obstacle.TIMED_OUT), **NO_CALL},
        "credential",
        "managed_identity_missing",
        "CREDENTIAL",
        "azure_cli",
    ),
    "no identity in azure": (
        {"IDENTITY_ENDPOINT": ""},
        {"token": failed(), **NO_CALL},
        "credential",
        "managed_identity_missing",
        "CREDENTIAL",
        None,
    ),
    "endpoint refuses": (
        {},
        {"token": failed(obstacle=Obstacle.UNREACHABLE), **NO_CALL},
        "credential",
        "managed_identity_missing",
        "IDENTITY_ENDPOINT",
        None,
    ),
    "endpoint hangs": (
        {},
        {"token": failed(obstacle=Obstacle.TIMED_OUT), **NO_CALL},
        "token",
        "issuer_timeout",
        "IDENTITY_ENDPOINT",
        None,
    ),
    "identity not assigned": (
        {"AZURE_CLIENT_ID": OTHER},
        {"token": failed(status=400), **NO_CALL},
        "credential",
        "managed_identity_unknown",
        "AZURE_CLIENT_ID",
        None,
    ),
    "no system identity": (
        {},
        {"token": failed(status=400), **NO_CALL},
        "credential",
        "managed_identity_unknown",
        "AZURE_CLIENT_ID",
        None,
    ),
    "voucher not assigned": (
        {
            "CREDENTIAL": "managed_identity_federation",
            "AZURE_CLIENT_ID": CALLER,
            "MANAGED_IDENTITY_CLIENT_ID": OTHER,
        },
        {"token": failed(), **NO_CALL},
        "credential",
        "managed_identity_unknown",
        "MANAGED_IDENTITY_CLIENT_ID",
        None,
    ),
    "secret wrong": (
        SECRET,
        {"token": failed(aadsts="7000215"), **NO_CALL},
        "credential",
        "secret_wrong",
        "AZURE_CLIENT_SECRET",
        None,
    ),
    "secret expired": (
        SECRET,
        {"token": failed(aadsts="7000222"), **NO_CALL},
        "credential",
        "secret_expired",
        "AZURE_CLIENT_SECRET",
        None,
    ),
    "application unknown": (
        SECRET,
        {"token": failed(aadsts="700016"), **NO_CALL},
        "credential",
        "application_unknown",
        "AZURE_CLIENT_ID",
        None,
    ),
    "application of the api's tenant": (
        SECRET,
        {
            "token": failed(aadsts="700016"),
            "metadata": metadata(**SERVERS_OF_OTHER),
            **NO_CALL,
        },
        "credential",
        "application_unknown",
        "ENTRA_TENANT_ID",
        OTHER,
    ),
    "federation": (
        SECRET,
        {"token": failed(aadsts="7002131"), **NO_CALL},
        "credential",
        "federation_mismatch",
        "federatedIdentityCredentials",
        None,
    ),
    "certificate's file": (
        {
            "CREDENTIAL": "client_certificate",
            "AZURE_CLIENT_ID": CALLER,
            "AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere.pem",
        },
        {"token": failed(is_file=True), **NO_CALL},
        "credential",
        "certificate_unusable",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        None,
    ),
    "federated token's file": (
        {
            "CREDENTIAL": "workload_identity",
            "AZURE_CLIENT_ID": CALLER,
            "AZURE_FEDERATED_TOKEN_FILE": "/nowhere",
        },
        {"token": failed(is_file=True), **NO_CALL},
        "credential",
        "federated_token_unusable",
        "AZURE_FEDERATED_TOKEN_FILE",
        None,
    ),
    "another file": (
        SECRET,
        {"token": failed(is_file=True), **NO_CALL},
        "token",
        "token_unavailable",
        "EXTRA_CA_FILE",
        None,
    ),
    "azure cli": (
        {"CREDENTIAL": "azure_cli"},
        {"token": failed(), **NO_CALL},
        "credential",
        "azure_cli_unusable",
        None,
        None,
    ),
    "azure cli breaks": (
        {"CREDENTIAL": "azure_cli"},
        {"token": failed(obstacle=Obstacle.BROKEN), **NO_CALL},
        "credential",
        "azure_cli_unusable",
        None,
        None,
    ),
    # The token.
    "an unknown code": (
        SECRET,
        {"token": failed(aadsts="999999"), **NO_CALL},
        "token",
        "token_refused",
        None,
        None,
    ),
    "assignment required": (
        SECRET,
        {"token": failed(aadsts="501051"), **NO_CALL},
        "token",
        "missing_role",
        "appRoleAssignments",
        "Records.Read",
    ),
    "tenant unknown": (
        SECRET,
        {
            "token": failed(aadsts="90002"),
            "discovery": UNKNOWN_TENANT,
            "key_set": UNKNOWN_TENANT,
            **NO_CALL,
        },
        "token",
        "tenant_unknown",
        "ENTRA_TENANT_ID",
        None,
    ),
    "tenant unknown, and the api knows better": (
        SECRET,
        {
            "token": failed(aadsts="90002"),
            "discovery": UNKNOWN_TENANT,
            "key_set": UNKNOWN_TENANT,
            "metadata": metadata(**SERVERS_OF_OTHER),
            **NO_CALL,
        },
        "token",
        "tenant_unknown",
        "ENTRA_TENANT_ID",
        OTHER,
    ),
    "tenant of another cloud": (
        SECRET,
        {
            "token": failed(aadsts="90002"),
            "discovery": UNKNOWN_TENANT,
            "key_set": UNKNOWN_TENANT,
            "metadata": metadata(
                authorization_servers=[f"https://login.microsoftonline.us/{TENANT}/v2.0"]
            ),
            **NO_CALL,
        },
        "token",
        "tenant_unknown",
        "ENTRA_CLOUD",
        "usgov",
    ),
    "app id uri unknown": (
        {},
        {"token": failed(aadsts="500011"), **NO_CALL},
        "token",
        "api_unknown_in_tenant",
        "API_APP_ID_URI",
        None,
    ),
    "app id uri unknown, and the api knows better": (
        {},
        {
            "token": failed(aadsts="500011"),
            "metadata": metadata(scopes_supported=["api://real/.default"]),
            **NO_CALL,
        },
        "token",
        "api_unknown_in_tenant",
        "API_APP_ID_URI",
        "api://real",
    ),
    "app id uri that follows from a wrong client id": (
        DERIVED,
        {
            "token": failed(aadsts="500011"),
            "metadata": metadata(
                scopes_supported=[f"api://{OTHER}/.default"],
                azure_aws_bridge_api_client_id=OTHER,
            ),
            **NO_CALL,
        },
        "token",
        "api_unknown_in_tenant",
        "API_CLIENT_ID",
        OTHER,
    ),
    "api of another tenant": (
        {},
        {
            "token": failed(aadsts="500011"),
            "metadata": metadata(**SERVERS_OF_OTHER),
            **NO_CALL,
        },
        "token",
        "api_unknown_in_tenant",
        "ENTRA_TENANT_ID",
        OTHER,
    ),
    "no way to entra": (
        SECRET,
        {"token": failed(obstacle=Obstacle.NAME_UNKNOWN, detail="no"), **NO_CALL},
        "token",
        "issuer_name_unknown",
        "TOKEN_HTTPS_PROXY",
        None,
    ),
    "token proxy is down": (
        SECRET | {"TOKEN_HTTPS_PROXY": "http://127.0.0.1:9"},
        {"token": failed(obstacle=Obstacle.UNREACHABLE, detail="no"), **NO_CALL},
        "token",
        "issuer_proxy",
        "TOKEN_HTTPS_PROXY",
        None,
    ),
    "token tls": (
        SECRET,
        {"token": failed(obstacle=Obstacle.TLS_UNTRUSTED, detail="no"), **NO_CALL},
        "token",
        "issuer_tls",
        "EXTRA_CA_FILE",
        None,
    ),
    "a page in entra's place": (
        SECRET,
        {"token": failed(status=200), **NO_CALL},
        "token",
        "issuer_answer",
        "ENTRA_CLOUD",
        None,
    ),
    "local entra is down": (
        SECRET
        | {
            "ENTRA_AUTHORITY": "http://127.0.0.1:8400",
            "AZURE_AUTHORITY_HOST": "https://localhost:8443",
        },
        {
            "token": failed(obstacle=Obstacle.UNREACHABLE, detail="no"),
            "discovery": answered({"issuer": f"http://127.0.0.1:8400/{TENANT}/v2.0"}),
            "metadata": metadata(authorization_servers=[f"http://127.0.0.1:8400/{TENANT}/v2.0"]),
            **NO_CALL,
        },
        "token",
        "issuer_unreachable",
        "AZURE_AUTHORITY_HOST",
        None,
    ),
    # The token against the contract.
    "own tenant is wrong": (
        {"ENTRA_TENANT_ID": OTHER},
        {"discovery": UNKNOWN_TENANT, "key_set": UNKNOWN_TENANT},
        "token_contract",
        "wrong_tenant",
        "ENTRA_TENANT_ID",
        TENANT,
    ),
    "identity of another tenant": (
        {},
        {"token": obtained(OF_OTHER_TENANT, "k9"), "call": REFUSED},
        "token_contract",
        "wrong_tenant",
        "CREDENTIAL",
        None,
    ),
    "own cloud is wrong": (
        {"ENTRA_CLOUD": "usgov"},
        {
            "discovery": answered({"issuer": f"https://login.microsoftonline.us/{TENANT}/v2.0"}),
        },
        "token_contract",
        "wrong_issuer",
        "ENTRA_CLOUD",
        "public",
    ),
    "registration issues v1": (
        {},
        {"token": obtained(V1), "call": REFUSED},
        "token_contract",
        "unaccepted_version",
        "requestedAccessTokenVersion",
        "2",
    ),
    "own versions are wrong": (
        {"ACCEPTED_TOKEN_VERSIONS": "1.0"},
        {},
        "token_contract",
        "unaccepted_version",
        "ACCEPTED_TOKEN_VERSIONS",
        "2.0",
    ),
    "own client id is wrong": (
        {"API_CLIENT_ID": OTHER},
        {},
        "token_contract",
        "wrong_audience",
        "API_CLIENT_ID",
        API,
    ),
    "graph token": (
        {"API_APP_ID_URI": "https://graph.microsoft.com"},
        {
            "token": obtained(CLAIMS | {"aud": "00000003-0000-0000-c000-000000000000"}),
            "call": REFUSED,
        },
        "token_contract",
        "wrong_audience",
        "API_APP_ID_URI",
        URI,
    ),
    "token of another api": (
        {},
        {"token": obtained(CLAIMS | {"aud": OTHER}), "call": REFUSED},
        "token_contract",
        "wrong_audience",
        "API_APP_ID_URI",
        f"api://{API}",
    ),
    "expired": (
        {},
        {"token": obtained(CLAIMS | {"exp": int(NOW) - 1}), "call": REFUSED},
        "token_contract",
        "expired",
        "clock",
        None,
    ),
    "not yet valid": (
        {},
        {"token": obtained(CLAIMS | {"nbf": int(NOW) + 120}), "call": REFUSED},
        "token_contract",
        "not_yet_valid",
        "clock",
        None,
    ),
    "delegated": (
        {},
        {"token": obtained(CLAIMS | {"scp": "user_impersonation"}), "call": DENIED},
        "token_contract",
        "delegated_token",
        "CREDENTIAL",
        None,
    ),
    "no role": (
        {},
        {"token": obtained(CLAIMS | {"roles": []}), "call": DENIED},
        "token_contract",
        "missing_role",
        "appRoleAssignments",
        "Records.Read",
    ),
    # The issuer's documents.
    "another issuer answers": (
        {},
        {"discovery": answered({"issuer": "https://evil.example"})},
        "discovery",
        "discovery_wrong",
        "ENTRA_CLOUD",
        None,
    ),
    "a sign-in page answers": (
        {},
        {"discovery": answered(content=b"<html>", content_type="text/html")},
        "discovery",
        "issuer_answer",
        "ENTRA_CLOUD",
        None,
    ),
    "discovery's tenant unknown": (
        {},
        {"discovery": UNKNOWN_TENANT, "key_set": UNKNOWN_TENANT},
        "discovery",
        "tenant_unknown",
        "ENTRA_TENANT_ID",
        None,
    ),
    "no keys": (
        {},
        {"key_set": answered({"keys": []})},
        "key_set",
        "key_set_unavailable",
        None,
        None,
    ),
    "keys of another kind": (
        {},
        {"key_set": answered({"keys": "none"})},
        "key_set",
        "key_set_unavailable",
        None,
        None,
    ),
    "unknown key": (
        {},
        {"token": obtained(key_id="k9"), "call": REFUSED},
        "key_set",
        "unknown_key",
        None,
        None,
    ),
    "discovery out of reach, asked for tokens": (
        SECRET,
        {
            "discovery": unanswered(Obstacle.TIMED_OUT),
            "key_set": unanswered(Obstacle.TIMED_OUT),
        },
        "discovery",
        "issuer_timeout",
        "TOKEN_HTTPS_PROXY",
        None,
    ),
    # The two sides.
    "the stack's tenant": (
        {},
        {"metadata": metadata(**SERVERS_OF_OTHER), "call": REFUSED},
        "api_metadata",
        "wrong_tenant",
        "EntraTenantId",
        TENANT,
    ),
    "the stack's cloud": (
        {},
        {
            "metadata": metadata(
                authorization_servers=[f"https://login.microsoftonline.us/{TENANT}/v2.0"]
            ),
            "call": REFUSED,
        },
        "api_metadata",
        "wrong_issuer",
        "EntraCloud",
        LOGIN,
    ),
    "the stack's client id": (
        {},
        {"metadata": metadata(azure_aws_bridge_api_client_id=OTHER), "call": REFUSED},
        "api_metadata",
        "wrong_audience",
        "ApiClientId",
        API,
    ),
    "the stack's versions": (
        {},
        {"metadata": metadata(azure_aws_bridge_token_versions=["1.0"]), "call": REFUSED},
        "api_metadata",
        "unaccepted_version",
        "AcceptedTokenVersions",
        "2.0",
    ),
    "no witness": (
        {},
        {
            "token": Broke("KeyError"),
            "metadata": metadata(azure_aws_bridge_api_client_id=OTHER),
            **NO_CALL,
        },
        "api_metadata",
        "wrong_audience",
        "API_CLIENT_ID",
        OTHER,
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_when_one_thing_is_wrong_then_only_its_root_cause_fails(lie: str) -> None:
    """The cause, what to set and to what; all that follows from it is not checked, or well."""
    settings, seen, check, cause, setting, value = LIES[lie]
    app = subject(**settings)

    checks = judged(app, **seen)

    assert [(check, cause)] == failures(checks)
    fix = checks[CheckName(check)].fix
    assert fix is not None
    assert (setting, value) == (fix.setting, fix.value)
    assert fix.value or fix.value_from or fix.setting is None
    assert fix.sentence.endswith(".")


DELEGATED = {name: value for name, value in CLAIMS.items() if name != "roles"} | {"scp": "access"}
UNUSUAL: dict[str, tuple[dict[str, str], dict[str, Any], str, str]] = {
    "an older stack": (
        {},
        {"metadata": problem(404, "route_unknown")},
        "api_metadata",
        "PublicUrl",
    ),
    "metadata of nobody": (
        {},
        {"metadata": metadata(authorization_servers=["x"], scopes_supported=[7])},
        "api_metadata",
        "PublicUrl",
    ),
    "a user's token that the stack lends roles to": (
        {"CREDENTIAL": "azure_cli", "at": "laptop"},
        {"token": obtained(DELEGATED)},
        "token_contract",
        "CREDENTIAL",
    ),
    "a further tenant": ({}, {"token": obtained(OF_OTHER_TENANT)}, "token_contract", ""),
    "a further audience": (
        {},
        {"token": obtained(CLAIMS | {"aud": OTHER})},
        "token_contract",
        "",
    ),
    "an app of the further tenant": (
        {"ENTRA_TENANT_ID": OTHER},
        {
            "token": obtained(OF_OTHER_TENANT),
            "discovery": answered({"issuer": f"{LOGIN}/{OTHER}/v2.0"}),
        },
        "api_metadata",
        "EntraTenantId",
    ),
    "an app of the further audience": (
        {"API_CLIENT_ID": OTHER},
        {"token": obtained(CLAIMS | {"aud": OTHER})},
        "api_metadata",
        "ApiClientId",
    ),
    "one version of two": (
        {},
        {"metadata": metadata(azure_aws_bridge_token_versions=["1.0", "2.0"])},
        "api_metadata",
        "ACCEPTED_TOKEN_VERSIONS",
    ),
}


@pytest.mark.parametrize("pair", UNUSUAL)
def test_when_an_unusual_pair_is_well_then_nothing_fails(pair: str) -> None:
    """What the API takes all the same is worth a warning, and no exit status of its own."""
    settings, seen, check, setting = UNUSUAL[pair]

    checks = judged(subject(**settings), **seen)

    assert [] == failures(checks)
    warned = checks[CheckName(check)]
    assert Status.WARNED is warned.status
    assert warned.fix is not None
    assert setting in {"", warned.fix.setting}


ODD: tuple[Any, ...] = (
    *(None, True, -1, 1.5, 10**400, float("nan"), "", "\u202e[red]x", "x" * 10_000),
    *([], {}, [[]], [{}], [None], ["x"], {"a": 1}),
)
OTHERS_METADATA = METADATA | {
    "azure_aws_bridge_api_client_id": OTHER,
    "azure_aws_bridge_token_versions": ["1.0"],
    "scopes_supported": ["api://else/.default"],
}
LONGEST_FOUND = 1_000


@pytest.mark.parametrize("document", [METADATA, OTHERS_METADATA], ids=["agrees", "disagrees"])
@pytest.mark.parametrize(
    "call", [answered({"items": []}), REFUSED, DENIED], ids=["allowed", "refused", "denied"]
)
@pytest.mark.parametrize("member", [*CLAIMS, "appid", "scp", "idtyp", *METADATA, "kid"])
def test_when_a_member_is_of_another_type_then_there_is_a_report_all_the_same(
    member: str, call: Any, document: dict[str, object]
) -> None:
    """What a peer says is judged, however odd; it must not keep the report from anybody."""
    for odd in ODD:
        claims = CLAIMS | ({member: odd} if member not in METADATA else {})
        published = document | ({member: odd} if member in METADATA else {})
        keys = answered({"keys": [{"kid": odd}, odd]})
        seen: dict[str, Any] = {"token": obtained(claims), "call": call}
        seen |= {"metadata": answered(published)}
        seen |= {"key_set": keys} if member == "kid" else {}

        checks = judged(**seen)

        assert list(CheckName) == list(checks)
        assert LONGEST_FOUND > max(len(check.found) for check in checks.values())


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtYXJrZWQifQ.bWFya2Vk"
API_KEY = "markedkey0123456789abcdefghijklmnopqrstu"
ADDRESS = "alice.marked@example.com"
PARTS = (*JWT.split("."), API_KEY, ADDRESS)


def echoes(mark: str) -> dict[str, dict[str, Any]]:
    """Everywhere that a peer, or what it has issued, can say a mark to us."""
    claim = ("ver", "tid", "iss", "aud", "azp", "roles", "scp", "oid", "sub", "name", "idtyp")
    return {
        "code": {"call": problem(401, mark)},
        "error type": {"call": problem(401, "x", f"Bearer {mark}")},
        "request id": {"call": problem(500, "x", x_amzn_requestid=mark)},
        "code of health": {"health": problem(500, mark), "call": None},
        "resource": {"metadata": metadata(resource=mark)},
        "scope": {"metadata": metadata(scopes_supported=[mark]), "call": REFUSED},
        "server": {"metadata": metadata(authorization_servers=[f"https://{mark}/{TENANT}/v2.0"])},
        "issuer": {"discovery": answered({"issuer": mark})},
        "key": {"token": obtained(key_id=mark)},
        **{f"{name}": {"token": obtained(CLAIMS | {name: mark}), "call": DENIED} for name in claim},
        **{f"{name}s": {"token": obtained(CLAIMS | {name: [mark]})} for name in claim},
    }


@pytest.mark.parametrize("mark", [JWT, f"Bearer {JWT}", ADDRESS, f"Records.Read {ADDRESS}"])
@pytest.mark.parametrize("place", echoes(""))
def test_when_a_token_or_an_address_comes_back_then_no_check_repeats_it(
    place: str, mark: str
) -> None:
    """Neither what we had sent nor whom a token is about, wherever it stands."""
    told = json.dumps([check.to_members() for check in judged(**echoes(mark)[place]).values()])

    assert [] == [part for part in PARTS if part in told]


@pytest.mark.parametrize("place", ["code", "error type", "request id", "code of health"])
def test_when_whoever_answers_says_our_api_key_back_then_no_check_repeats_it(place: str) -> None:
    """It is sent before it is known who answers."""
    told = json.dumps([check.to_members() for check in judged(**echoes(API_KEY)[place]).values()])

    assert API_KEY not in told


def test_when_an_older_stack_refuses_then_its_missing_metadata_is_not_why() -> None:
    """A 401 has a reason of its own, which only the authorizer's log knows."""
    checks = judged(metadata=problem(404, "route_unknown"), call=REFUSED)

    assert [("api_call", "token_rejected")] == failures(checks)


WAYS = {
    Obstacle.NAME_UNKNOWN: ("backend_name_unknown", "AWS_API_BASE_URL"),
    Obstacle.UNREACHABLE: ("backend_unreachable", "AWS_API_BASE_URL"),
    Obstacle.TIMED_OUT: ("backend_timeout", "API_HTTPS_PROXY"),
    Obstacle.TLS_UNTRUSTED: ("backend_tls", "EXTRA_CA_FILE"),
    Obstacle.TLS_DATES: ("backend_tls", "EXTRA_CA_FILE"),
    Obstacle.TLS_NAME: ("backend_tls_name", "AWS_API_BASE_URL"),
    Obstacle.TLS_FAILED: ("backend_protocol", "AWS_API_BASE_URL"),
    Obstacle.CLIENT_CERTIFICATE: ("client_certificate_refused", "API_CLIENT_CERTIFICATE_PATH"),
    Obstacle.PROXY: ("backend_proxy", "API_HTTPS_PROXY"),
    Obstacle.BROKEN: ("client_certificate_refused", "API_CLIENT_CERTIFICATE_PATH"),
}


@pytest.mark.parametrize("obstacle", Obstacle)
def test_when_the_api_gives_no_answer_then_what_is_in_the_way_is_named(obstacle: Obstacle) -> None:
    """Each obstacle has a cause and a setting; nothing else is called a failure."""
    nobody = unanswered(obstacle)

    checks = judged(health=nobody, metadata=nobody, call=None)

    fix = checks[CheckName.API_REACHABLE].fix
    assert fix is not None
    assert [("api_reachable", WAYS[obstacle][0])] == failures(checks)
    assert WAYS[obstacle][1] == fix.setting


@pytest.mark.parametrize("obstacle", [Obstacle.NAME_UNKNOWN, Obstacle.UNREACHABLE])
def test_when_a_proxy_is_on_the_way_then_what_cannot_be_reached_is_the_proxy(
    obstacle: Obstacle,
) -> None:
    """The server's own name and port are the proxy's to find."""
    app = subject(API_HTTPS_PROXY="http://127.0.0.1:9")
    nobody = unanswered(obstacle)

    checks = judged(app, health=nobody, metadata=nobody, call=None)

    assert [("api_reachable", "backend_proxy")] == failures(checks)


HTML: dict[str, Any] = {"content": b"<html>", "content_type": "text/html"}
STRANGERS: dict[str, tuple[Any, str, str | None]] = {
    "no such stage": (problem(403, "", "ForbiddenException"), "api_unknown", "AWS_API_BASE_URL"),
    "no such path": (
        problem(403, "", "MissingAuthenticationTokenException"),
        "route_unknown",
        "AWS_API_BASE_URL",
    ),
    "the template's 404": (problem(404, "route_unknown"), "route_unknown", "AWS_API_BASE_URL"),
    "a bare 404": (answered({}, 404), "route_unknown", "AWS_API_BASE_URL"),
    "a page": (answered(status=200, **HTML), "not_the_api", "AWS_API_BASE_URL"),
    "a page that is not there": (answered(status=404, **HTML), "not_the_api", "AWS_API_BASE_URL"),
    "a redirect": (answered({}, 301), "api_redirects", "AWS_API_BASE_URL"),
    "the function app": (
        answered({"status": "ok", "record_store": "sqlite", "last_sync": None}),
        "not_the_api",
        "AWS_API_BASE_URL",
    ),
    "an api key is needed": (problem(403, "api_key_refused"), "backend_api_key", "AWS_API_KEY"),
    "a firewall": (problem(403, "", "WafFilteredException"), "backend_firewall", None),
    "throttled": (problem(429, "throttled"), "throttled", "ThrottleRate"),
    "throttled by somebody": (answered({}, 429), "throttled", "ThrottleRate"),
    "quota": (problem(429, "quota_exceeded"), "quota_exceeded", None),
    "a lambda fails": (problem(502, "backend_failed"), "backend_failed", None),
    "a lambda is late": (problem(504, "backend_timed_out"), "backend_timed_out", None),
    "another's 502": (answered({}, 502), "not_the_api", "AWS_API_BASE_URL"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_when_something_else_answers_then_it_is_named(stranger: str) -> None:
    """By status, the gateway's own name for it, and the code of its document."""
    answer, cause, setting = STRANGERS[stranger]

    checks = judged(health=answer, metadata=answer, call=None)

    fix = checks[CheckName.API_REACHABLE].fix
    assert fix is not None
    assert [("api_reachable", cause)] == failures(checks)
    assert setting == fix.setting


def test_when_the_api_answers_at_a_parent_then_that_is_the_value() -> None:
    """The path that is too much is known."""
    checks = judged(
        subject(AWS_API_BASE_URL=f"{BASE_URL}/v1"),
        health=problem(404, "route_unknown"),
        answers_at=BASE_URL,
        call=None,
    )

    fix = checks[CheckName.API_REACHABLE].fix
    assert fix is not None
    assert (BASE_URL, None) == (fix.value, fix.value_from)


CALLS: dict[str, tuple[Any, str, str | None, str | None]] = {
    "rejected": (REFUSED, "token_rejected", None, None),
    "not on the list": (DENIED, "unknown_client", "AllowedClientIds", CALLER),
    "refused by the backend": (
        problem(403, "missing_role"),
        "unknown_client",
        "AllowedClientIds",
        CALLER,
    ),
    "api key": (problem(403, "api_key_refused"), "backend_api_key", "AWS_API_KEY", None),
    "api key or firewall": (
        problem(403, "", "ForbiddenException"),
        "backend_api_key",
        "AWS_API_KEY",
        None,
    ),
    "firewall": (problem(403, "request_filtered"), "backend_firewall", None, None),
    "cloudfront": (
        answered(status=403, server="CloudFront", **HTML),
        "backend_firewall",
        None,
        None,
    ),
    "elsewhere": (answered({}, 403), "backend_forbidden", None, None),
    "undecided": (
        problem(500, "authorizer_undecided", x_amzn_requestid="id-1"),
        "authorizer_undecided",
        None,
        None,
    ),
    "no feed": (problem(404, "feed_missing"), "feed_missing", None, None),
    "broken": (problem(500, "internal_error"), "backend_unavailable", None, None),
    "contract": (answered({"items": 1}), "backend_contract", None, None),
    "odd": (answered({}, 418), "backend_contract", None, None),
    "throttled": (problem(429, "throttled"), "throttled", "ThrottleRate", None),
    "hangs": (unanswered(Obstacle.TIMED_OUT), "backend_timeout", None, None),
    "breaks off": (unanswered(Obstacle.BROKEN), "backend_protocol", None, None),
}


@pytest.mark.parametrize("call", CALLS)
def test_when_only_the_call_fails_then_what_remains_is_named(call: str) -> None:
    """Token, keys and metadata fit, so it is the allow-list, a key, a firewall, or AWS."""
    answer, cause, setting, value = CALLS[call]

    checks = judged(call=answer)

    fix = checks[CheckName.API_CALL].fix
    assert fix is not None
    assert [("api_call", cause)] == failures(checks)
    assert (setting, value) == (fix.setting, fix.value)


def test_when_the_token_has_only_the_other_role_then_the_missing_one_is_named() -> None:
    """The contract takes any role; this route does not."""
    checks = judged(token=obtained(CLAIMS | {"roles": ["Records.Write"]}), call=DENIED)

    assert [("api_call", "missing_role")] == failures(checks)


def test_when_roles_are_no_list_then_the_refused_call_is_explained_all_the_same() -> None:
    """A token can say anything."""
    checks = judged(token=obtained(CLAIMS | {"roles": "Records.Read"}), call=DENIED)

    assert [("token_contract", "missing_role")] == failures(checks)


WARNINGS: dict[str, tuple[dict[str, str], dict[str, Any], str, str]] = {
    "another address": (
        {},
        {"metadata": metadata(resource="https://api.example.com")},
        "api_metadata",
        "public_url_mismatch",
    ),
    "another uri, by which nothing is decided": (
        {},
        {"metadata": metadata(scopes_supported=["api://else/.default"])},
        "api_metadata",
        "wrong_scope",
    ),
    "more versions than the token's": (
        {"ACCEPTED_TOKEN_VERSIONS": "1.0,2.0"},
        {},
        "api_metadata",
        "unaccepted_version",
    ),
    "discovery out of reach, needed for nothing": (
        {},
        {
            "discovery": unanswered(Obstacle.TIMED_OUT),
            "key_set": unanswered(Obstacle.TIMED_OUT),
        },
        "discovery",
        "issuer_timeout",
    ),
    "keys out of reach, needed for nothing": (
        {},
        {"key_set": unanswered(Obstacle.BROKEN)},
        "key_set",
        "issuer_answer",
    ),
    "the issuer is busy": ({}, {"discovery": answered({}, 503)}, "discovery", "issuer_throttled"),
}


@pytest.mark.parametrize("warning", WARNINGS)
def test_when_nothing_breaks_by_it_then_it_is_a_warning(warning: str) -> None:
    """The call is allowed, so nothing is called a failure."""
    settings, seen, name, cause = WARNINGS[warning]

    checks = judged(subject(**settings), **seen)

    assert [] == failures(checks)
    assert (Status.WARNED, cause) == (
        checks[CheckName(name)].status,
        str(checks[CheckName(name)].cause),
    )


def test_when_a_private_api_is_called_by_another_name_then_its_own_name_is_no_mismatch() -> None:
    """The URL is the endpoint's, and the API's name is in the Host header."""
    app = subject(AWS_API_HOST="abc123.execute-api.eu-west-1.amazonaws.com")

    assert [] == failures(judged(app, metadata=metadata(resource="https://else.example")))
    assert Status.PASSED is (
        judged(app, metadata=metadata(resource="https://else.example"))[
            CheckName.API_METADATA
        ].status
    )


@pytest.mark.parametrize("probe", ["token", "discovery", "key_set", "health", "call", "store"])
def test_when_a_probe_breaks_then_nothing_is_held_against_the_app(probe: str) -> None:
    """It is a fault of the doctor, and said so; the other checks go on."""
    seen: dict[str, Any] = {probe: Broke("KeyError")}
    if probe in {"token", "health"}:
        seen |= NO_CALL

    checks = judged(**seen)

    broken = [check for check in checks.values() if str(check.cause) == "probe_failed"]
    assert [] == [each for each in failures(checks) if each[1] != "probe_failed"]
    assert len(broken) >= 1
    assert "KeyError" in broken[0].found


def test_when_settings_are_wrong_then_what_does_not_need_them_is_checked() -> None:
    """Every problem is named, and only checks that need the setting are left out."""
    app = subject(AWS_API_BASE_URL="ftp://private", SYNC_PAGE_SIZE="0")

    checks = judged(app, health=None, metadata=None, call=None)

    found = checks[CheckName.SETTINGS].found
    assert [("settings", "settings_invalid")] == failures(checks)
    assert "AWS_API_BASE_URL" in found
    assert "SYNC_PAGE_SIZE" in found
    assert "private" not in found
    assert Status.PASSED is checks[CheckName.TOKEN_CONTRACT].status
    assert Status.PASSED is checks[CheckName.STORE].status
    assert Status.NOT_CHECKED is checks[CheckName.API_REACHABLE].status


def test_when_every_setting_is_wrong_then_nothing_else_fails() -> None:
    """Each other check says that it needs the settings."""
    names = [*ENVIRONMENT, "CREDENTIAL", "RECORD_STORE", "ENTRA_CLOUD", "SYNC_FAN_OUT"]
    wrong = dict.fromkeys(names, "\N{BULLET}")
    nothing = dict.fromkeys(
        ["token", "discovery", "key_set", "health", "metadata", "call", "store"]
    )

    checks = judged(subject(**wrong), **nothing)

    assert [("settings", "settings_invalid")] == failures(checks)
    assert {Status.NOT_CHECKED} == {
        check.status
        for check in checks.values()
        if check.name not in {CheckName.SETTINGS, CheckName.VERSIONS}
    }


CLOCKS: dict[tuple[float | None, float | None], tuple[Status, str | None]] = {
    (0, 0): (Status.PASSED, None),
    (4, 4): (Status.PASSED, None),
    (30, 30): (Status.WARNED, "machine_clock_off"),
    (90, 90): (Status.FAILED, "machine_clock_off"),
    (-90, -89): (Status.FAILED, "machine_clock_off"),
    (0, 90): (Status.FAILED, "api_clock_off"),
    (90, 0): (Status.FAILED, "issuer_clock_off"),
    (None, 90): (Status.FAILED, "clocks_apart"),
    (90, None): (Status.FAILED, "clocks_apart"),
}


@pytest.mark.parametrize("ahead", CLOCKS)
def test_when_clocks_differ_then_the_one_that_two_others_contradict_is_named(
    ahead: tuple[float | None, float | None],
) -> None:
    """By the dates of Entra ID's and the API's answers, in seconds."""
    issuer, api = ahead
    document = {"issuer": f"{LOGIN}/{TENANT}/v2.0"}
    seen: dict[str, Any] = {
        "discovery": answered(document, date="")
        if issuer is None
        else answered(document, at=NOW + issuer),
        "health": answered({"status": "ok"}, date="never")
        if api is None
        else answered({"status": "ok"}, at=NOW + api),
    }

    check = judged(**seen)[CheckName.CLOCK]

    assert CLOCKS[ahead] == (check.status, None if check.cause is None else str(check.cause))


def test_when_the_clock_is_why_a_token_is_refused_then_the_call_needs_it() -> None:
    """The root cause is the clock."""
    late = answered({"status": "ok"}, at=NOW + 900)

    checks = judged(health=late, call=REFUSED)

    assert [("clock", "api_clock_off")] == failures(checks)
    assert "needs clock" in checks[CheckName.API_CALL].found


def test_when_a_cache_answers_then_its_age_counts() -> None:
    """A document that is an hour old was dated an hour ago."""
    cached = answered({"issuer": f"{LOGIN}/{TENANT}/v2.0"}, at=NOW - 3_600, age="3600")

    assert Status.PASSED is judged(discovery=cached)[CheckName.CLOCK].status


def test_when_a_key_set_comes_from_a_cache_then_its_age_is_told() -> None:
    """How old it is, and for how long it is good."""
    cached = answered({"keys": [{"kid": "k1"}]}, age="7200", cache_control="max-age=86400")

    found = judged(key_set=cached)[CheckName.KEY_SET].found
    assert "2.0 h old" in found
    assert "max-age=86400" in found


@pytest.mark.parametrize(
    ("token", "cause"),
    [("a" * 9_217, "token_too_long"), ("a b", "malformed_token")],
)
def test_when_a_token_cannot_be_sent_then_that_is_the_cause(token: str, cause: str) -> None:
    """No header carries it to the API."""
    bad = obtained()
    object.__setattr__(bad.token, "value", token)

    checks = judged(token=bad, call=None)

    assert ("token", cause) in failures(checks)


def test_when_a_token_is_old_then_the_missing_role_may_have_come_since() -> None:
    """A managed identity's token is kept for up to 24 hours."""
    old = CLAIMS | {"roles": [], "iat": int(NOW) - 3 * 3_600}

    fix = judged(token=obtained(old), call=DENIED)[CheckName.TOKEN_CONTRACT].fix
    assert fix is not None
    assert "3 h ago" in fix.sentence


def test_when_python_is_another_then_a_warning_names_the_tested_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may work; nobody has tried."""
    monkeypatch.setattr("sys.version_info", (3, 14, 0))

    check = judged()[CheckName.VERSIONS]

    assert (Status.WARNED, "python_unsupported") == (check.status, str(check.cause))


def test_when_the_peers_say_what_steers_a_terminal_then_the_report_does_not() -> None:
    """Values of others are bounded, and printable."""
    evil = "\x1b[31m" + "x" * 5_000
    checks = judged(
        token=obtained(CLAIMS | {"tid": evil, "aud": evil, "azp": evil, "roles": [evil]}, evil),
        discovery=answered({"issuer": evil}),
        key_set=answered({"keys": [{"kid": "k1"}]}, cache_control="x" * 900),
        metadata=metadata(resource=evil),
        call=problem(403, evil, "AccessDeniedException", x_amzn_requestid="y" * 900),
    )

    texts = [check.found + (check.fix.sentence if check.fix else "") for check in checks.values()]
    assert all("\x1b" not in text and len(text) < 1_500 for text in texts)
