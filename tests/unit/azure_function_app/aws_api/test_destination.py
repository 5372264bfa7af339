"""Where a token may go."""

import string
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.aws_api.destination import Destination, check_path, check_query
from azure_function_app.errors import RequestRefused

API = Destination.parse("https://api.example/prod")

WAYS_OUT = [
    "https://evil.example/",
    "//evil.example/",
    "v1/records",
    "",
    "/..",
    "/../admin",
    "/v1/..",
    "/v1/../../admin",
    "/v1/./records",
    "/v1/%2e%2e/admin",
    "/v1/%2E%2e/admin",
    "/v1/.%2e/admin",
    "/v1/..%2fadmin",
    "/v1/%2e%2e%2fadmin",
    "/v1/%252e%252e/admin",
    "/v1/%25252e%25252e/admin",
    "/v1/%2525252e/admin",
    "/v1/..;a=b/admin",
    "/v1/..%3b/admin",
    "/v1\\..\\admin",
    "/v1/..\\admin",
    "/v1/%5c..%5cadmin",
    "/v1%5cadmin",
    "/v1//admin",
    "/v1/%2f/admin",
    "/v1/a\r\nHost: evil.example",
    "/v1/a%0d%0aHost: evil.example",
    "/v1/a%00",
    "/v1/a\x7f",
    "/v1/a%c2%85",
    "/v1/a\tb",
    "/v1?x=1",
    "/v1#x",
    "/v1/100%",
    "/v1/%zz",
]


@pytest.mark.parametrize("path", WAYS_OUT)
def test_when_a_path_could_lead_elsewhere_then_it_is_refused(path: str) -> None:
    """Absolute URLs, dots, backslashes and control characters, plain or encoded, even twice."""
    with pytest.raises(RequestRefused):
        API.url(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/records",
        "/v1/records/",
        "/v1/records/a.b",
        "/v1/records/..a",
        "/v1/records/a..",
        "/v1/records/...",
        "/v1/records/a%20b",
        "/v1/records/a%2Fb",
        "/v1/records/100%25",
        "/v1/records/%E2%82%AC",
        "/v1/records/a;b=c",
        "/v1/records/a@b:c",
    ],
)
def test_when_a_path_stays_then_it_is_sent_exactly_as_it_was_given(path: str) -> None:
    """Below the base, and not encoded anew."""
    assert f"/prod{path}" == API.url(path).raw_path.decode()


@pytest.mark.parametrize("query", ["a=1#b", "a=\r\nx: y", "a=\x00", "a=\x9f"])
def test_when_a_query_does_not_end_where_it_seems_then_it_is_refused(query: str) -> None:
    """A fragment or a line break could be read by somebody as more than a query."""
    with pytest.raises(RequestRefused):
        API.url("/v1", query)


def test_when_a_query_is_good_then_it_is_sent_exactly_as_it_was_given() -> None:
    """Empty values, repeats and encoded signs included."""
    query = "a=&a=2&b=%2B+c&../d"

    assert f"/prod/v1?{query}" == API.url("/v1", query).raw_path.decode()


def test_when_text_is_no_unicode_then_it_is_refused() -> None:
    """A lone surrogate makes no URL."""
    with pytest.raises(RequestRefused):
        API.url("/v1/\ud800")


def test_when_a_request_is_for_the_api_then_it_passes() -> None:
    """The API's own URL, default port written or not."""
    API.check(httpx.Request("GET", "https://api.example/prod/v1"))
    API.check(httpx.Request("GET", "https://api.example:443/prod/v1"))
    API.check(httpx.Request("GET", "https://API.example/prod/v1"))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/prod/v1",
        "https://evil.example/prod/v1",
        "https://api.example.evil.example/prod/v1",
        "https://api.example:8443/prod/v1",
        "https://user@api.example/prod/v1",
        "https://api.example@evil.example/prod/v1",
        "https://api.example/prod",
        "https://api.example/production/v1",
        "https://api.example/dev/v1",
        "https://api.example/prod/../dev/v1",
        "https://api.example/prod/%2e%2e/dev/v1",
        "https://api.example/prod//v1",
        "https://api.example/",
    ],
)
def test_when_a_request_goes_elsewhere_then_it_is_refused(url: str) -> None:
    """Scheme, host, port, credentials and base path are each compared."""
    with pytest.raises(RequestRefused):
        API.check(httpx.Request("GET", url))


def test_when_the_host_header_names_another_api_then_the_request_is_refused() -> None:
    """On a shared front the Host header decides who answers."""
    request = httpx.Request("GET", "https://api.example/prod/v1", headers={"host": "evil.example"})

    with pytest.raises(RequestRefused):
        API.check(request)


URL = "https://vpce-1.execute-api.eu-west-1.vpce.amazonaws.com/prod"
HOST = "abc123.execute-api.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("api", "headers"),
    [
        (API, (("host", "api.example"),)),
        (Destination.parse(URL, host=HOST), (("host", HOST),)),
        (
            Destination.parse(URL, api_id="abc123"),
            (
                ("host", "vpce-1.execute-api.eu-west-1.vpce.amazonaws.com"),
                ("x-apigw-api-id", "abc123"),
            ),
        ),
    ],
    ids=["url", "host", "api id"],
)
def test_when_an_api_has_another_name_than_its_url_then_its_headers_say_so(
    api: Destination, headers: tuple[tuple[str, str], ...]
) -> None:
    """A request with them passes; what is connected to is the URL's host."""
    request = httpx.Request("GET", api.url("/v1"), headers=headers)

    api.check(request)
    assert headers == api.headers
    assert api.host == request.url.host


@pytest.mark.parametrize(
    ("api", "headers"),
    [
        (Destination.parse(URL, host=HOST), []),
        (Destination.parse(URL, host=HOST), [("host", "evil.example")]),
        (Destination.parse(URL, host=HOST), [("host", HOST), ("host", "evil.example")]),
        (Destination.parse(URL, api_id="abc123"), []),
        (Destination.parse(URL, api_id="abc123"), [("x-apigw-api-id", "other")]),
        (
            Destination.parse(URL, api_id="abc123"),
            [("x-apigw-api-id", "abc123"), ("x-apigw-api-id", "other")],
        ),
        (Destination.parse(URL), [("x-apigw-api-id", "other")]),
    ],
)
def test_when_a_header_names_another_api_then_the_request_is_refused(
    api: Destination, headers: list[tuple[str, str]]
) -> None:
    """No header, another one and a second one all mean another API."""
    with pytest.raises(RequestRefused):
        api.check(httpx.Request("GET", api.url("/v1"), headers=headers))


def test_when_the_api_has_no_base_path_then_every_path_is_below_it() -> None:
    """A custom domain often has no stage in its path."""
    api = Destination.parse("https://api.example/")

    api.check(httpx.Request("GET", api.url("/v1")))
    assert "https://api.example/v1" == str(api.url("/v1"))


def test_when_the_port_is_not_the_default_then_it_is_part_of_the_destination() -> None:
    """As for the local stack."""
    api = Destination.parse("http://127.0.0.1:4566/prod")

    api.check(httpx.Request("GET", "http://127.0.0.1:4566/prod/v1"))
    with pytest.raises(RequestRefused):
        api.check(httpx.Request("GET", "http://127.0.0.1:4567/prod/v1"))


@given(st.text(alphabet=string.printable + "/\\.%;é…\u2215", max_size=40))
def test_when_a_path_passes_then_its_url_passes_too(path: str) -> None:
    """Whatever is let through stays below the base, also once it is decoded."""
    try:
        url = API.url(f"/{path}")
    except RequestRefused:
        return

    API.check(httpx.Request("GET", url))
    decoded = unquote(unquote(url.raw_path.decode()))
    assert decoded.startswith("/prod/")
    assert not {".", ".."} & set(decoded.split("/"))


@given(
    st.text(
        alphabet=st.characters(exclude_categories=["C", "Z"], exclude_characters="\\/%;."),
        min_size=1,
    )
)
def test_when_an_id_is_quoted_and_holds_nothing_odd_then_it_passes(record_id: str) -> None:
    """Any printable ID can be asked for, once it is encoded."""
    segment = quote(record_id, safe="")

    check_path(f"/v1/records/{segment}")
    check_query(segment)
