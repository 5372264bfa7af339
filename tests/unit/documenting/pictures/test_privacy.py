import pytest

from documenting.pictures.privacy import PrivateError, check_public, with_fixed_ports

PRIVATE = {
    "token": "Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6.eyJh.sig",
    "half a token": "eyJhbGciOi",
    "signature": "x" * 90,
    "key": "-----BEGIN " + "PRIVATE KEY-----",
    "AWS key": "AKIA" + "A" * 16,
    "Entra secret": "abc8Q~" + "a" * 34,
    "client secret": "-d client_secret=local-secret-1",
    "function key": "?code=abcdefgh12345678",
    "home": "/home/someone/azure-aws-bridge/.bridge/up",
    "root": "logs: /root/.bridge/up/logs",
    "work": "'/work/checkout/docs'",
    "temporary": "records │ /tmp/abc/records.db",
    "Mac": "/Users/someone/checkout",
}
PUBLIC = (
    "call through the proxy                         │                HTTP 200 │",
    "http://127.0.0.1:50001/api/aws/v1/records/EGLL",
    "GET /v1/records?limit=1 in 1.2 s",
    "tenant 72f988bf-86f1-41af-91ab-2d7cd011db47, request 5f0c6d0e-1111-4222-8333-444455556666",
    "trace_id 4bf92f3577b34da6a3ce929d0e0e4736",
    ".bridge/up/logs/lambda.log",
    "AZURE_CLIENT_SECRET: set, not shown",
    "reason code: wrong_audience",
)


@pytest.mark.parametrize("line", PRIVATE.values(), ids=list(PRIVATE))
def test_when_a_line_is_private_then_it_is_refused_and_not_repeated(line: str) -> None:
    """The message says which line, and what kind of thing is in it."""
    with pytest.raises(PrivateError) as raised:
        check_public(["fine", line])

    assert "line 2" in str(raised.value)
    assert line not in str(raised.value)


def test_when_lines_are_what_commands_print_then_they_may_be_shown() -> None:
    """Relative paths, GUIDs, trace IDs and URLs of this stack's own parts."""
    check_public(PUBLIC)


def test_when_a_run_takes_free_ports_then_the_picture_has_fixed_ones() -> None:
    """Each its own, as long as the real one, so that tables stay tables."""
    lines = [
        "http://127.0.0.1:43817/api │",
        "localhost:39001",
        "127.0.0.1:43817",
        "[::1]:8400 12345",
    ]

    assert [
        "http://127.0.0.1:50001/api │",
        "localhost:50002",
        "127.0.0.1:50001",
        "[::1]:7071 12345",
    ] == with_fixed_ports(lines)
