"""Who may read the console and press its buttons."""

import pytest

from bridge_cli.console.request_guard import HEADERS, Part, RequestGuard

GUARD = RequestGuard(7400, "right-token")
OURS = "http://127.0.0.1:7400"
READ = {"Host": "127.0.0.1:7400", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
PRESS = {
    **READ,
    "Origin": OURS,
    "X-CSRF-Token": "right-token",
    "Content-Type": "application/json",
}
OPENED = {"Host": "127.0.0.1:7400", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}


def _code(part: Part, headers: dict[str, str]) -> str | None:
    refusal = GUARD.refuse(part, headers)
    return refusal and refusal.code


@pytest.mark.parametrize("part", [Part.ASSET, Part.STREAM])
@pytest.mark.parametrize("host", ["127.0.0.1:7400", "localhost:7400"])
def test_when_our_page_reads_then_it_gets_it(part: Part, host: str) -> None:
    """Under either name of this machine."""
    assert _code(part, READ | {"Host": host, "Origin": f"http://{host}"}) is None
    assert _code(part, {"Host": host}) is None


def test_when_our_page_presses_then_it_may() -> None:
    """With the token that it was given."""
    assert _code(Part.BUTTON, PRESS) is None
    assert _code(Part.BUTTON, PRESS | {"Content-Type": "application/json; charset=utf-8"}) is None


@pytest.mark.parametrize("site", ["none", "cross-site", "same-site", "same-origin"])
def test_when_a_link_leads_to_the_page_then_it_opens(site: str) -> None:
    """Wherever the link stands: nobody else can read what opens."""
    assert _code(Part.PAGE, OPENED | {"Sec-Fetch-Site": site}) is None


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize(
    "host",
    [
        "",
        "rebound.example:7400",
        "127.0.0.1",
        "127.0.0.1:7401",
        "127.0.0.1:7400.rebound.example",
        "localhost:7400@rebound.example",
        "[::1]:7400",
        "LOCALHOST:7400 ",
    ],
)
def test_when_the_host_is_another_name_then_nothing_is_given(part: Part, host: str) -> None:
    """A name that an attacker makes resolve to this machine would be the page's own origin."""
    assert "host_not_ours" == _code(part, PRESS | {"Host": host, "Origin": f"http://{host}"})


@pytest.mark.parametrize("part", [Part.ASSET, Part.STREAM, Part.BUTTON])
@pytest.mark.parametrize(
    "bent",
    [
        {"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://127.0.0.1:7400"},
        {"Origin": "http://localhost:7400"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
    ],
    ids=str,
)
def test_when_another_page_asks_then_it_gets_nothing(part: Part, bent: dict[str, str]) -> None:
    """Also one of this very machine, on another port."""
    assert "another_page" == _code(part, PRESS | bent)


@pytest.mark.parametrize("missing", ["Origin"])
def test_when_a_press_names_no_origin_then_it_is_refused(missing: str) -> None:
    """Every browser names the origin of a POST."""
    headers = {name: value for name, value in PRESS.items() if name != missing}

    assert "another_page" == _code(Part.BUTTON, headers)


def test_when_a_press_was_typed_into_the_address_bar_then_it_is_refused() -> None:
    """`none` is what a browser says of what a person opened, which is never a POST of ours."""
    assert "another_page" == _code(Part.BUTTON, PRESS | {"Sec-Fetch-Site": "none"})


@pytest.mark.parametrize("token", ["", "wrong-token", "right-token ", "ünicode"])
def test_when_a_press_has_another_token_then_it_is_told_to_load_the_page_again(token: str) -> None:
    """As a page of an earlier start has."""
    assert "stale_page" == _code(Part.BUTTON, PRESS | {"X-CSRF-Token": token})


def test_when_a_press_has_no_token_then_it_is_refused() -> None:
    """A form of another page can send none."""
    headers = {name: value for name, value in PRESS.items() if name != "X-CSRF-Token"}

    assert "stale_page" == _code(Part.BUTTON, headers)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_when_a_press_is_what_a_form_sends_then_it_is_refused(media_type: str) -> None:
    """A form needs nobody's leave to send these; for JSON a browser asks first."""
    assert "not_json" == _code(Part.BUTTON, PRESS | {"Content-Type": media_type})


@pytest.mark.parametrize("destination", ["iframe", "frame", "empty", "script", "image", "object"])
def test_when_the_page_is_to_be_part_of_another_then_it_is_not_given(destination: str) -> None:
    """Neither in a frame, nor to a script that would read the token out of it."""
    assert "another_page" == _code(Part.PAGE, OPENED | {"Sec-Fetch-Dest": destination})


def test_when_anything_is_answered_then_the_policy_allows_our_own_files_only() -> None:
    """No inline script, no frame, no other origin, nothing kept by a cache."""
    policy = HEADERS["Content-Security-Policy"].split("; ")

    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert not any("unsafe" in part or "*" in part or "http" in part for part in policy)
    assert ("no-store", "nosniff", "DENY") == (
        HEADERS["Cache-Control"],
        HEADERS["X-Content-Type-Options"],
        HEADERS["X-Frame-Options"],
    )
    assert not any(name.startswith("Access-Control") for name in HEADERS)


def test_when_the_guard_is_printed_then_its_token_is_not() -> None:
    """Whoever logs it must not give the buttons away."""
    assert "right-token" not in repr(GUARD)
