from types import SimpleNamespace

import httptools
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.http1.request_head import write_request_head

URL = "http://api.example/v1/records?limit=5"
CONTROLS = [bytes([code]) for code in (*range(9), *range(10, 32), 127)]


def request(
    method: str = "GET", url: str = URL, *fields: tuple[bytes, bytes], **options: object
) -> httpx.Request:
    """A request with exactly these fields."""
    made = httpx.Request(method, url, **options)  # type: ignore[arg-type]
    made.headers = httpx.Headers([(b"host", b"api.example"), *fields])
    return made


class StrictReader:
    """Reads a head as a server does, and keeps what it has read."""

    def __init__(self, head: bytes) -> None:
        """Read it."""
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.ends = 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(head)
        self.method = parser.get_method()

    def on_url(self, piece: bytes) -> None:
        """Keep the target."""
        self.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field."""
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Count the ends of heads."""
        self.ends += 1


def test_when_a_request_is_written_then_it_is_these_bytes() -> None:
    """Names in lower case, order kept, one blank line."""
    head = write_request_head(request("GET", URL, (b"X-B", b"2"), (b"X-A", b"1")))

    assert (
        b"GET /v1/records?limit=5 HTTP/1.1\r\nhost: api.example\r\nx-b: 2\r\nx-a: 1\r\n\r\n"
        == head.content
    )
    assert 0 == head.length


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("place", ["name", "value", "start", "end", "method"])
def test_when_a_control_character_is_anywhere_then_it_is_refused(
    control: bytes, place: str
) -> None:
    """CR and LF end lines, NUL ends strings, and none of the others belongs there."""
    name = b"x-a" + control if place == "name" else b"x-a"
    value = {"value": b"a" + control + b"b", "start": control + b"a", "end": b"a" + control}
    method = "GET" + control.decode() if place == "method" else "GET"
    bad = request(method, URL, (name, value.get(place, b"a")))
    with pytest.raises(httpx.LocalProtocolError):
        write_request_head(bad)


def test_when_a_value_holds_any_other_byte_then_it_goes_out_as_it_is() -> None:
    """Blanks, tabs, visible characters and every byte of UTF-8 (RFC 9110 section 5.5)."""
    value = b"a" + bytes(set(range(256)) - {control[0] for control in CONTROLS}) + b"b"
    head = write_request_head(request("GET", URL, (b"x-a", value)))

    assert head.content.endswith(b"\r\nx-a: " + value + b"\r\n\r\n")


@pytest.mark.parametrize("name", [b"", b" x", b"x ", b"x:", b"x y", b"x\xe9", b"(x)", b"x/y", b"@"])
def test_when_a_name_is_no_token_then_it_is_refused(name: bytes) -> None:
    """RFC 9110 section 5.1; and again the second time, when it could be known."""
    for _ in range(2):
        with pytest.raises(httpx.LocalProtocolError):
            write_request_head(request("GET", URL, (name, b"a")))


@pytest.mark.parametrize(
    "target", [b"/a b", b"/a\r\nX-A: b", b"/a\x00", b"a", b"", b"/\xe9", b"**"]
)
def test_when_a_target_would_break_the_line_then_it_is_refused(target: bytes) -> None:
    """The URL class encodes such paths; what goes past it does not go out."""
    made = request()
    made.url = SimpleNamespace(raw_path=target)  # type: ignore[assignment]
    with pytest.raises(httpx.LocalProtocolError):
        write_request_head(made)


@pytest.mark.parametrize("method", ["", "GET ", "G ET", "G\u00c9T", "GET\tX", "GET/", "GET:"])
def test_when_a_method_is_no_token_then_it_is_refused(method: str) -> None:
    """RFC 9110 section 9.1."""
    made = request()
    made.method = method
    with pytest.raises(httpx.LocalProtocolError):
        write_request_head(made)


@pytest.mark.parametrize(
    "fields",
    [
        [(b"Content-Length", b"1"), (b"content-length", b"1")],
        [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"identity")],
        [(b"Transfer-Encoding", b"")],
        *(
            [(b"Content-Length", value)]
            for value in (
                b"",
                b"-1",
                b"+1",
                b"1,1",
                b" 1",
                b"1 ",
                b"0x1",
                b"1e1",
                b"\xb2",
                b"9" * 19,
            )
        ),
    ],
)
def test_when_the_length_is_not_told_in_one_way_then_it_is_refused(
    fields: list[tuple[bytes, bytes]],
) -> None:
    """Whoever reads it differently finds another request in the body (RFC 9112 section 11.2)."""
    with pytest.raises(httpx.LocalProtocolError):
        write_request_head(request("PUT", URL, *fields))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ((b"Content-Length", b"0"), 0),
        ((b"Content-Length", b"007"), 7),
        ((b"Content-Length", b"9" * 18), 10**18 - 1),
        ((b"Transfer-Encoding", b"Chunked"), "chunked"),
    ],
)
def test_when_the_length_is_told_then_it_is_read(
    field: tuple[bytes, bytes], expected: int | str
) -> None:
    """In either of the two ways."""
    assert expected == write_request_head(request("PUT", URL, field)).length


@pytest.mark.parametrize("hosts", [[], [b"api.example", b"other.example"], [b"api.example"] * 2])
def test_when_not_exactly_one_host_is_named_then_it_is_refused(hosts: list[bytes]) -> None:
    """What stands before the server may choose by one of them, and the server by the other."""
    made = request()
    made.headers = httpx.Headers([(b"Host", host) for host in hosts])
    with pytest.raises(httpx.LocalProtocolError):
        write_request_head(made)


def test_when_very_many_names_are_used_then_they_are_not_all_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is known of names is for the few that a client sends, and those it knows."""
    known: set[bytes] = set()
    monkeypatch.setattr("azure_function_app.http1.request_head._known_names", known)
    write_request_head(request("GET", URL, (b"X-Some", b"a")))
    assert {b"host", b"x-some"} == known

    for number in range(2_000):
        write_request_head(request("GET", URL, (b"x-%d" % number, b"a")))

    assert 512 == len(known)


TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=12).map(str.encode)
ANY_BYTES = st.binary(max_size=12)
NAMES = TOKENS.filter(
    lambda name: (
        name.lower()
        not in {b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"host"}
    )
)
FIELDS = st.lists(st.tuples(st.one_of(NAMES, ANY_BYTES), ANY_BYTES), max_size=5)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
    target=st.one_of(st.binary(max_size=20), st.text("/a%?#&=;:@ ~", max_size=20).map(str.encode)),
    fields=FIELDS,
)
def test_when_a_head_is_written_then_a_server_reads_what_was_given_and_nothing_else(
    method: str, target: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    """Whatever is given: it is refused, or read back exactly."""
    made = request(method, URL, *fields)
    made.url = SimpleNamespace(raw_path=b"/" + target)  # type: ignore[assignment]
    try:
        head = write_request_head(made)
    except httpx.LocalProtocolError:
        return
    reader = StrictReader(head.content)

    assert 1 == reader.ends
    assert (method.encode(), b"/" + target) == (reader.method, reader.target)
    assert [(b"host", b"api.example"), *((n.lower(), v.strip(b" \t")) for n, v in fields)] == [
        (name, value.rstrip(b" \t")) for name, value in reader.fields
    ]
