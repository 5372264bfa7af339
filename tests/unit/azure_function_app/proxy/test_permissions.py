"""What a caller may do through the proxy."""

import logging
from dataclasses import replace

import pytest

from azure_function_app.http_response import HttpResponse
from azure_function_app.proxy.permissions import SignIn
from azure_function_app.proxy.proxy import CallerRequest
from shared.routes import ROUTES, Role
from tests.support.easy_auth import IDENTITY, ISSUER, OBJECT_ID, SCHEMA, TENANT_ID, signed_in
from tests.support.fake_api import FakeApi
from tests.support.proxy_calls import (
    HOST,
    RECORDS,
    answer_of,
    caller,
    fields_of,
    problem_of,
    proxy_before,
)

BY_NAME = SignIn(
    tenant_id=TENANT_ID,
    home_issuers={ISSUER},
    caller_roles={role.value: {role.value} for role in Role},
    admits_guests=False,
)
BY_SETTING = replace(
    BY_NAME,
    caller_roles={
        "Viewer": {"Records.Read"},
        "Editor": {"Records.Read", "Records.Write"},
        "Archivist": {"Records.Write"},
    },
)
GUEST = [*IDENTITY, (f"{SCHEMA}identityprovider", "live.com")]
FOREIGNER = [
    (name, "99999999-2222-4333-8444-555555555555" if name.endswith("tenantid") else value)
    for name, value in IDENTITY
]
RECORD = f"{RECORDS}/a"


def request(method: str, url: str = RECORD, headers: dict[str, str] | None = None) -> CallerRequest:
    """A request with a body where one belongs."""
    return caller(method, url, headers=headers, body=b"{}" if method == "PUT" else b"")


async def outcome(
    given: CallerRequest, sign_in: SignIn | None, *, forwards_writes: bool = True
) -> tuple[int, str | None, HttpResponse]:
    """Status and code; a refused request was not sent."""
    api = FakeApi(b"{}")
    proxy = proxy_before(api, sign_in=sign_in, forwards_writes=forwards_writes)
    answer = await proxy.answer(given)
    code = None if api.requests else problem_of(answer)["code"]
    return int(answer.status), code, answer


@pytest.mark.parametrize(
    ("sign_in", "roles", "reads", "writes"),
    [
        (BY_NAME, (), False, False),
        (BY_NAME, ("Records.Read",), True, False),
        (BY_NAME, ("Records.Write",), False, True),
        (BY_NAME, ("Records.Read", "Records.Write"), True, True),
        (BY_NAME, ("records.read", "Records.Read ", "Editor", "*"), False, False),
        (BY_SETTING, ("Records.Read", "Records.Write"), False, False),
        (BY_SETTING, ("Viewer",), True, False),
        (BY_SETTING, ("Editor",), True, True),
        (BY_SETTING, ("Archivist",), False, True),
        (BY_SETTING, ("Archivist", "Viewer"), True, True),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_when_a_role_is_mapped_then_it_opens_those_routes_and_no_others(
    sign_in: SignIn, roles: tuple[str, ...], method: str, *, reads: bool, writes: bool
) -> None:
    """By its own name where nothing is set; else only by what the setting says."""
    is_open = reads if method in {"GET", "HEAD"} else writes

    status, code, _ = await outcome(request(method, headers=signed_in(*roles)), sign_in)

    expected = (200, None) if is_open else (403, "request_caller_forbidden")
    assert expected == (status, code)


@pytest.mark.parametrize(
    ("sign_in", "method", "needed"),
    [
        (BY_NAME, "GET", "GET /v1/records/{id} needs the app role Records.Read,"),
        (BY_NAME, "HEAD", "GET /v1/records/{id} needs the app role Records.Read,"),
        (BY_SETTING, "PUT", "PUT /v1/records/{id} needs the app role Archivist or Editor,"),
        (
            replace(BY_SETTING, caller_roles={"Viewer": {"Records.Read"}}),
            "DELETE",
            "PROXY_CALLER_ROLES lends nobody the role Records.Write, which DELETE /v1/records/{id}",
        ),
    ],
)
async def test_when_a_role_is_missing_then_the_refusal_names_it_and_the_route(
    sign_in: SignIn, method: str, needed: str
) -> None:
    """So that whoever reads it knows what to ask for."""
    _, _, answer = await outcome(request(method, headers=signed_in("Other")), sign_in)

    if method == "HEAD":
        # The problem is there, and only the host leaves it out.
        assert answer.body
    assert problem_of(answer)["detail"].startswith(needed)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.role is None])
@pytest.mark.parametrize(("headers", "status"), [(signed_in(), 200), ({}, 401)])
async def test_when_a_route_is_open_then_any_member_of_the_tenant_may_use_it(
    route: object, headers: dict[str, str], status: int
) -> None:
    """Nobody else reaches the API, where they could have it without us."""
    url = f"{HOST}/api/aws{route.path}"  # type: ignore[attr-defined] # a route

    assert status == (await outcome(request("GET", url, headers), BY_NAME))[0]


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ms-client-principal-id": OBJECT_ID},
        {"x-ms-client-principal": "e30="},
        signed_in("Records.Read", "Records.Write", claims=FOREIGNER),
        {"x-functions-key": "key", "authorization": "Bearer x"},
    ],
)
async def test_when_a_caller_is_unknown_then_it_learns_nothing(
    method: str, headers: dict[str, str]
) -> None:
    """Not even which routes there are; and it is told how to come back."""
    for url in (RECORD, f"{HOST}/api/aws/v1/nowhere"):
        status, code, answer = await outcome(request(method, url, headers), BY_NAME)

        assert (401, "request_caller_unknown") == (status, code)
        assert "Bearer" == fields_of(answer)["www-authenticate"]


@pytest.mark.parametrize("roles", [(), ("Records.Read", "Records.Write")])
@pytest.mark.parametrize("admits_guests", [True, False])
async def test_when_a_guest_calls_then_a_setting_and_roles_decide(
    roles: tuple[str, ...], *, admits_guests: bool
) -> None:
    """Being let in gives a guest no role."""
    given = request("GET", headers=signed_in(*roles, claims=GUEST))

    status, code, answer = await outcome(given, replace(BY_NAME, admits_guests=admits_guests))

    if admits_guests and roles:
        assert (200, None) == (status, code)
    else:
        assert (403, "request_caller_forbidden") == (status, code)
        assert admits_guests != ("PROXY_ADMITS_GUESTS" in problem_of(answer)["detail"])


@pytest.mark.parametrize("sign_in", [None, BY_NAME])
@pytest.mark.parametrize(
    ("method", "url", "passes"),
    [
        ("GET", RECORD, True),
        ("HEAD", RECORD, True),
        ("GET", f"{HOST}/api/aws/health", True),
        ("PUT", RECORD, False),
        ("DELETE", RECORD, False),
    ],
)
async def test_when_the_proxy_only_reads_then_nobody_writes(
    sign_in: SignIn | None, method: str, url: str, *, passes: bool
) -> None:
    """Neither who has a key nor who is signed in with every role; the setting is named."""
    given = request(method, url, signed_in("Records.Read", "Records.Write"))

    status, code, answer = await outcome(given, sign_in, forwards_writes=False)

    assert passes == (code is None)
    if not passes:
        assert (403, "request_write_not_forwarded") == (status, code)
        assert "PROXY_FORWARDS" in problem_of(answer)["detail"]


async def test_when_nobody_says_otherwise_then_the_proxy_only_reads() -> None:
    """A proxy that is built without a word on it, as from the settings' default."""
    api = FakeApi(b"{}")
    proxy = replace(proxy_before(api), forwards_writes=False)

    assert 403 == (await proxy.answer(request("PUT"))).status
    assert [] == api.requests


async def test_when_a_caller_has_a_key_then_what_it_says_of_itself_is_not_read() -> None:
    """With a function key the header is the caller's own invention, and neither helps nor harms."""
    api = FakeApi(b"{}")

    answer = await answer_of(api, request("GET", headers={"x-ms-client-principal": "no Base64"}))

    assert 200 == answer.status


@pytest.mark.parametrize(
    ("roles", "claims", "logged"),
    [
        (("Viewer", "Other"), IDENTITY, ["Viewer"]),
        ((), IDENTITY, []),
        (("Editor", "Viewer"), GUEST, ["Editor", "Viewer"]),
    ],
)
async def test_when_a_call_is_logged_then_it_has_the_object_id_and_nothing_personal(
    roles: tuple[str, ...],
    claims: list[tuple[str, str]],
    logged: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Let in or not; the header stands nowhere."""
    headers = signed_in(*roles, claims=claims)

    with caplog.at_level(logging.INFO):
        await outcome(request("GET", headers=headers), BY_SETTING)

    fields = vars(caplog.records[-1])["bridge_fields"]
    assert (OBJECT_ID, logged) == (fields["caller"], fields["caller_roles"])
    everything = repr([vars(record) for record in caplog.records])
    assert "Ann" not in everything
    assert "ann@" not in everything
    assert headers["x-ms-client-principal"] not in everything


async def test_when_nobody_is_signed_in_then_the_log_names_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a key, or with a header that could not be read."""
    with caplog.at_level(logging.INFO):
        await outcome(request("GET", headers=signed_in("Records.Read")), None)
        await outcome(request("GET", headers={"x-ms-client-principal": "secret"}), BY_NAME)

    for record in caplog.records:
        assert not {"caller", "caller_roles"} & vars(record)["bridge_fields"].keys()
    assert "secret" not in repr([vars(record) for record in caplog.records])
