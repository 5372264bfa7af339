"""Where a caller's request leads, and where it cannot lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_api import FakeApi
from tests.support.proxy_calls import HOST, RECORDS, answer_of, caller, refusal


@pytest.mark.parametrize(
    ("method", "url", "path", "query"),
    [
        ("GET", RECORDS, "/v1/records", ""),
        ("GET", f"{RECORDS}?limit=5&cursor=a%2Fb", "/v1/records", "limit=5&cursor=a%2Fb"),
        ("GET", f"{RECORDS}?empty=&x=1&x=2&flag", "/v1/records", "empty=&x=1&x=2&flag"),
        ("GET", f"{RECORDS}/EDDF", "/v1/records/EDDF", ""),
        ("GET", f"{RECORDS}/Z%C3%BCrich", "/v1/records/Z%C3%BCrich", ""),
        ("GET", f"{RECORDS}/a%20b", "/v1/records/a%20b", ""),
        ("GET", f"{RECORDS}/a%41", "/v1/records/aA", ""),
        ("GET", f"{RECORDS}/a;b,c@d:e", "/v1/records/a;b,c@d:e", ""),
        ("GET", f"{RECORDS}/...", "/v1/records/...", ""),
        ("PUT", f"{RECORDS}/EDDF", "/v1/records/EDDF", ""),
        ("DELETE", f"{RECORDS}/EDDF", "/v1/records/EDDF", ""),
        ("GET", f"{HOST}/api/aws/health", "/health", ""),
        ("GET", f"{HOST}/API/Aws/health", "/health", ""),
        (
            "GET",
            f"{HOST}/api/aws/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
            "",
        ),
    ],
)
async def test_when_a_route_is_listed_then_the_request_goes_there(
    method: str, url: str, path: str, query: str
) -> None:
    """Method, path and query arrive as they were meant, within the time for one call."""
    api = FakeApi(b"{}")
    body = b"{}" if method == "PUT" else b""

    answer = await answer_of(api, caller(method, url, body=body))

    assert 200 == answer.status
    assert (method, path, query) == (
        api.request.method,
        api.request.path,
        api.request.query,
    )
    assert [30.0] == api.deadlines


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/records/",
        "/v1/records/a/b",
        "/v1/Records",
        "/v2/records",
        "/admin",
        "/health/",
        "/%76%31/records/",
    ],
)
async def test_when_a_path_is_not_listed_then_it_is_404(path: str) -> None:
    """What `shared.routes` does not have is not there, whatever the API has."""
    assert (404, "request_route_unknown") == await refusal(caller(url=f"{HOST}/api/aws{path}"))


@pytest.mark.parametrize("path", ["/aws/v1/records", "/api/awsx/v1/records", "/api", "/x/api/aws/"])
async def test_when_the_request_is_not_below_the_mount_then_it_is_404(path: str) -> None:
    """The proxy answers below /api/aws/ alone."""
    assert (404, "request_route_unknown") == await refusal(caller(url=HOST + path))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/records/..",
        "/v1/../admin",
        "/v1/records/.",
        "/../../etc",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/admin",
        "/v1/%252e%252e/admin",
        "/v1/records/..;x",
        "/v1/records/a%2Fb",
        "/v1/records/a%2fb",
        "/v1/records/%252F",
        "/v1/records/..%2f..%2fadmin",
        "/v1/records/a%5Cb",
        "/v1/records/a%255Cb",
        "/v1//records",
        "//evil.example/x",
        "/https://evil.example/",
        "/https:%2F%2Fevil.example",
        "/v1/records/a%00",
        "/v1/records/a%0d%0aHost:x",
        "/v1/records/a%7f",
        "/v1/records/%ff",
        "/v1/records/%zz",
    ],
)
async def test_when_a_path_could_lead_elsewhere_then_it_is_400(path: str) -> None:
    """Dot segments, separators and control characters, plain or encoded: nothing is asked for."""
    assert (400, "request_path_invalid") == await refusal(caller(url=f"{HOST}/api/aws{path}"))


@pytest.mark.parametrize(
    "url",
    [
        f"{RECORDS}\\x",
        f"{RECORDS}/a b",
        f"{RECORDS}\n",
        f"{RECORDS}?x=\r\nHost:evil",
        f"{RECORDS}#fragment",
        f"{RECORDS}?x=%00",
        f"{RECORDS}?x=%0D%0AHost:evil",
        f"{RECORDS}/\u00fc",
    ],
)
async def test_when_a_url_holds_what_no_url_can_then_it_is_400(url: str) -> None:
    """Backslashes, spaces, line breaks, fragments and bare Unicode are refused, not repaired."""
    assert (400, "request_url_invalid") == await refusal(caller(url=url))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
async def test_when_a_path_holds_anything_then_what_is_sent_is_a_listed_route(path: str) -> None:
    """Whatever comes, what goes out is the path of one of the routes, in one right encoding."""
    api = FakeApi(b"{}")

    answer = await answer_of(api, caller(url=f"{HOST}/api/aws/{path}"))

    assert answer.status in {200, 400, 404}
    for request in api.requests:
        assert request.path.isascii()
        assert request.path.split("/")[1] in {"v1", "health", ".well-known"}
        assert len(request.path.split("/")) <= 4
        assert not {".", "..", ""} & set(request.path.split("/")[1:])


@pytest.mark.parametrize(
    ("given_query", "sent"),
    [
        ("code=KEY", ""),
        ("code=KEY&limit=5", "limit=5"),
        ("limit=5&code=KEY", "limit=5"),
        ("CODE=KEY&limit=5", "limit=5"),
        ("%63ode=KEY&limit=5", "limit=5"),
        ("code=a&code=b&codex=c", "codex=c"),
    ],
)
async def test_when_the_function_key_is_in_the_query_then_it_stays_in_azure(
    given_query: str, sent: str
) -> None:
    """Azure takes the key from the parameter `code` in any spelling, so none goes on."""
    api = FakeApi(b"{}")

    await answer_of(api, caller(url=f"{RECORDS}?{given_query}"))

    assert sent == api.request.query
