"""Graph's throttling, faults, delays, pages and refusals."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployment.entra.errors import GraphError
from deployment.entra.graph_client import GraphClient, Waiting
from tests.support.fake_clock import FakeClock
from tests.support.graph import ORIGIN, Tenant

SECRET = "made-up.administrator.token"


def client_of(answers: Callable[[httpx.Request], httpx.Response], **options: Any) -> GraphClient:
    """A client of a Graph that answers so."""
    clock = FakeClock()
    return GraphClient(
        httpx.Client(transport=httpx.MockTransport(answers)),
        ORIGIN,
        SECRET,
        clock=clock,
        sleep=clock.advance,
        **options,
    )


def refuse(status: int, code: str, message: str, **headers: str) -> httpx.Response:
    """A refusal as Graph words it."""
    return httpx.Response(
        status, json={"error": {"code": code, "message": message}}, headers=headers
    )


def in_turn(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Those answers, one after the other; the last one over and over."""
    left = list(answers)

    def answer(_request: httpx.Request) -> httpx.Response:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def test_when_graph_throttles_then_it_comes_back_when_it_was_told_to() -> None:
    """A 429 was not done, so even what adds something is sent again."""
    tenant = Tenant()
    client = tenant.client()
    tenant.graph.throttle_next(3, retry_after=7)

    client.patch("/applications(uniqueName='x')", {"displayName": "x"}, creates=True)

    assert [7.0, 7.0, 7.0] == tenant.waits
    assert 1 == len(tenant.store.applications.newest())


def test_when_graph_throttles_without_a_time_then_the_waits_grow() -> None:
    """Twice as long each time, up to 20 seconds."""
    tenant = Tenant()
    client = tenant.client()
    tenant.graph.throttle_next(6, retry_after=None)

    client.list_all("/applications")

    assert [1.0, 2.0, 4.0, 8.0, 16.0, 20.0] == tenant.waits


def test_when_graph_throttles_for_longer_than_there_is_time_then_it_ends_at_once() -> None:
    """It does not sleep into its own deadline."""
    tenant = Tenant()
    client = tenant.client(total_seconds=60)
    tenant.graph.throttle_next(1, retry_after=61)

    with pytest.raises(GraphError, match="Run it again") as failed:
        client.list_all("/applications")

    assert "graph_deadline" == failed.value.code
    assert [] == tenant.waits


def test_when_graph_is_down_for_a_moment_then_it_asks_again() -> None:
    """Every request here can be done twice."""
    tenant = Tenant()
    client = tenant.client()
    tenant.graph.fail_next(4)

    client.patch("/applications(uniqueName='x')", {"displayName": "x"}, creates=True)

    assert 1 == len(tenant.store.applications.newest())


def test_when_graph_stays_down_then_it_says_so() -> None:
    """Five faults are enough."""
    tenant = Tenant()
    client = tenant.client()
    tenant.graph.fail_next(5)

    with pytest.raises(GraphError, match="503") as failed:
        client.list_all("/applications")

    assert "graph_unavailable" == failed.value.code
    assert 5 == len(tenant.requests)


def test_when_graph_cannot_be_reached_then_the_host_is_named_and_the_token_is_not() -> None:
    """A proxy, a firewall or no network."""
    client = client_of(in_turn(httpx.ConnectError("no route")))

    with pytest.raises(GraphError, match=r"127\.0\.0\.1:9 cannot be reached") as failed:
        client.get("/applications/x")

    assert "graph_unavailable" == failed.value.code
    assert SECRET not in str(failed.value)


def test_when_there_is_no_time_left_then_nothing_is_sent() -> None:
    """A run that was asleep on a closed laptop ends, and does not go on with an old token."""
    tenant = Tenant()
    client = tenant.client(total_seconds=60)
    tenant.clock.advance(60)

    with pytest.raises(GraphError) as failed:
        client.list_all("/applications")

    assert "graph_deadline" == failed.value.code
    assert [] == tenant.requests


def test_when_an_object_is_looked_for_then_only_404_means_that_it_is_not_there() -> None:
    """Any other refusal is not an answer to the question."""
    missing = refuse(404, "Request_ResourceNotFound", "None.")
    denied = refuse(403, "Authorization_RequestDenied", "No.")

    assert client_of(in_turn(missing)).find("/applications/x") is None
    with pytest.raises(GraphError):
        client_of(in_turn(denied)).find("/applications/x")


def test_when_graph_says_what_a_terminal_would_obey_then_it_is_left_out() -> None:
    """A name in the directory can hold escape sequences."""
    refused = refuse(400, "Some", "\x1b[2J\x07cleared\nhere")

    with pytest.raises(GraphError, match=r"\[2Jcleared here") as failed:
        client_of(in_turn(refused)).get("/x")

    assert str(failed.value).isprintable()


def test_when_an_answer_is_lost_then_adding_is_repeated_and_existing_is_done() -> None:
    """Graph did it; the second request is refused as existing, which is what was wanted."""
    exists = refuse(400, "Request_BadRequest", "EntitlementGrant entry already exists.")
    client = client_of(in_turn(httpx.ReadTimeout("lost"), exists))

    client.post_once("/servicePrincipals/x/appRoleAssignedTo", {})


@pytest.mark.parametrize(
    "message",
    ["EntitlementGrant entry already exists.", "Permission being assigned already exists on the"],
)
def test_when_an_assignment_is_there_already_then_it_is_done(message: str) -> None:
    """Both ways in which it is said to be worded."""
    client = client_of(in_turn(refuse(400, "Request_BadRequest", message)))

    client.post_once("/servicePrincipals/x/appRoleAssignedTo", {})


def test_when_adding_is_refused_for_another_reason_then_it_is_an_error() -> None:
    """Only existing is done."""
    client = client_of(in_turn(refuse(400, "Request_BadRequest", "Bad.")))

    with pytest.raises(GraphError, match="Bad") as failed:
        client.post_once("/servicePrincipals/x/appRoleAssignedTo", {})

    assert "graph_refused" == failed.value.code


@pytest.mark.parametrize(
    ("waiting", "status", "message"),
    [
        (
            Waiting.OBJECT,
            404,
            (
                "Resource 'x' does not exist or one of its queried reference-property objects are"
                " not present."
            ),
        ),
        (
            Waiting.APPLICATION,
            400,
            "The appId 'x' of the service principal does not reference a valid application object.",
        ),
        (
            Waiting.APPLICATION,
            403,
            (
                "When using this permission, the backing application of the service principal being"
                " created must in the local tenant"
            ),
        ),
        (Waiting.PRINCIPAL, 400, "Not a valid reference update."),
        (
            Waiting.SCOPE,
            400,
            (
                "Property api.preAuthorizedApplications.delegatedPermissionIds has a Permission Id"
                " that cannot be found in the AppPermissions sets."
            ),
        ),
    ],
)
def test_when_what_was_just_made_is_not_seen_then_it_waits(
    waiting: Waiting, status: int, message: str
) -> None:
    """Replication takes a while; who does not expect it gets the refusal."""
    answers = (refuse(status, "Request_BadRequest", message), httpx.Response(200, json={"id": "x"}))

    assert {"id": "x"} == client_of(in_turn(*answers)).get("/x", waiting=waiting)
    with pytest.raises(GraphError):
        client_of(in_turn(*answers)).get("/x")


def test_when_what_was_made_is_never_seen_then_it_ends_in_time_and_says_why() -> None:
    """As with the principal ID of another tenant."""
    refused = refuse(400, "Request_BadRequest", "Not a valid reference update.")

    with pytest.raises(GraphError, match="Not a valid reference update") as failed:
        client_of(in_turn(refused)).post_once("/x", {}, waiting=Waiting.PRINCIPAL)

    assert "graph_deadline" == failed.value.code


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("POST", "/servicePrincipals/x/appRoleAssignedTo", "AppRoleAssignment.ReadWrite.All"),
        ("PATCH", "/applications/x", "Application.ReadWrite.All"),
        ("GET", "/servicePrincipals/x/appRoleAssignedTo", "Application.Read.All"),
    ],
)
def test_when_a_right_is_missing_then_it_is_named_with_a_role_that_has_it(
    method: str, path: str, right: str
) -> None:
    """The message names what to ask for."""
    denied = refuse(403, "Authorization_RequestDenied", "Insufficient privileges.")
    client = client_of(in_turn(denied))
    calls: dict[str, Callable[[], object]] = {
        "POST": lambda: client.post_once(path, {}),
        "PATCH": lambda: client.patch(path, {}),
        "GET": lambda: client.get(path),
    }

    with pytest.raises(GraphError, match=right) as failed:
        calls[method]()

    assert "graph_right_missing" == failed.value.code
    assert "Authorization_RequestDenied" in str(failed.value)


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (401, "Access token validation failure.", "graph_sign_in_needed"),
        (400, "Another object with the same value for property identifierUris already exists.",
         "graph_conflict"),
        (409, "the service principal name x is already in use.", "graph_conflict"),
        (400, "Invalid value.", "graph_refused"),
        (404, "Nothing here.", "graph_refused"),
    ],
)  # fmt: skip
def test_when_graph_refuses_then_the_code_says_what_kind_it_is(
    status: int, message: str, code: str
) -> None:
    """Each kind has a stable code."""
    with pytest.raises(GraphError) as failed:
        client_of(in_turn(refuse(status, "Some", message))).patch("/x", {})

    assert code == failed.value.code
    assert message in str(failed.value)
    assert status == failed.value.status


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_when_the_refusal_is_no_graph_error_then_it_is_one_all_the_same(body: bytes) -> None:
    """A proxy answers in its own words."""
    with pytest.raises(GraphError, match=r"\(418\)") as failed:
        client_of(in_turn(httpx.Response(418, content=body))).get("/x")

    assert "graph_refused" == failed.value.code


def test_when_a_good_answer_is_no_object_then_it_is_unreadable() -> None:
    """A captive portal answers 200 with a page."""
    with pytest.raises(GraphError) as failed:
        client_of(in_turn(httpx.Response(200, text="<html>"))).get("/x")

    assert "graph_answer_unreadable" == failed.value.code


def test_when_graph_redirects_then_the_token_does_not_follow() -> None:
    """A redirect is no answer."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://evil.example/"})

    with pytest.raises(GraphError):
        client_of(answer).get("/x")

    assert ["127.0.0.1"] == asked


def test_when_a_list_has_pages_then_all_of_them_are_read() -> None:
    """The filter goes along to each."""
    tenant = Tenant()
    tenant.graph.page_size = 2
    for _ in range(5):
        tenant.store.add_managed_identity(f"id-{_}")
    client = tenant.client()

    assert 5 == len(client.list_all("/servicePrincipals"))
    assert 1 == len(client.list_all("/servicePrincipals", {"$filter": "displayName eq 'id-4'"}))
    assert 3 + 1 == len(tenant.requests)


def test_when_the_next_page_is_on_another_host_then_the_token_is_not_sent_there() -> None:
    """The link decides nothing but the page."""
    page = {"value": [], "@odata.nextLink": "https://graph.example/v1.0/applications?$skiptoken=2"}
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, json=page)

    with pytest.raises(GraphError, match="next page"):
        client_of(answer).list_all("/applications")

    assert ["127.0.0.1"] == asked


def test_when_pages_never_end_then_the_run_does() -> None:
    """A thousand pages are more than any tenant has of these."""
    page = {"value": [], "@odata.nextLink": f"{ORIGIN}/v1.0/applications?$skiptoken=1"}

    with pytest.raises(GraphError, match="pages"):
        client_of(in_turn(httpx.Response(200, json=page))).list_all("/applications")


@pytest.mark.parametrize("url", ["http://graph.example", "ftp://127.0.0.1", "graph.microsoft.com"])
def test_when_the_address_is_not_encrypted_then_no_client_is_made(url: str) -> None:
    """The token of an administrator crosses no network in the clear."""
    with pytest.raises(ValueError, match="neither https"):
        GraphClient(httpx.Client(), url, SECRET, clock=FakeClock(), sleep=lambda _: None)
