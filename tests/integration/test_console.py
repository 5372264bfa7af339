"""The local console on a real stack: each button in a real browser, and who may not press it."""

import asyncio
import json
import re
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser
from typer.testing import CliRunner

from bridge_cli.console.audience import MOST_MEMBERS
from bridge_cli.console.buttons import BUTTONS
from bridge_cli.console.request_guard import HEADERS
from bridge_cli.console.server import WRITE_SECONDS, serve_console
from bridge_cli.console.switches import Switches
from bridge_cli.main import app as bridge_app
from bridge_cli.refusals import REFUSAL_CASES
from bridge_cli.up_page import places_of
from emulator.aws.deployment import LocalAws
from emulator.aws.stage_throttle import StageThrottle
from emulator.entra.issuer_faults import Condition
from emulator.loopback import LOOPBACK, bind_listener
from emulator.stack import LocalStack
from shared.clock import SystemClock
from tests.support.console_page import ConsolePage, open_console, running_chromium
from tests.support.local_stack import running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """One stack for all tests of this module."""
    async with running_stack(tmp_path_factory.mktemp("console"), record_limit=60) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url(stack: LocalStack) -> AsyncIterator[str]:
    """The console's address."""
    async with serve_console(stack, places_of(stack), SystemClock(), port=0) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests of this module."""
    async with running_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def console(browser: Browser, url: str) -> AsyncIterator[ConsolePage]:
    """The page; the browser must have complained of nothing, and nobody else been asked."""
    async with open_console(browser, url) as console:
        await console.becomes("#app:not([hidden])")
        yield console

        assert [] == console.complaints


# --- each button, and the promise that it shows --------------------------------------------------


@pytest.mark.parametrize(
    ("button", "seen"),
    [
        ("call_proxy", "200 after"),
        ("call_direct", "200 with a token fetched just now"),
        ("call_many", "6 of 6 got 200, 0 got 429"),
        ("write_as_reader", "403"),
        ("rotate_key", "A token of the new key got 200, one of the old key 200"),
        ("run_sync", "Complete: 61 records read, 61 changed"),
    ],
)
async def test_when_a_call_is_made_then_the_page_shows_it_and_the_promise_kept(
    console: ConsolePage, button: str, seen: str
) -> None:
    """The verdict follows from the answer, and the call is in the list."""
    text = await console.press(button)

    assert seen in text
    assert "kept" == await console.verdict(button)


@pytest.mark.parametrize("case", REFUSAL_CASES, ids=lambda case: case.name)
async def test_when_a_bad_call_is_made_then_its_reason_and_what_to_change_are_shown(
    console: ConsolePage, case: Any
) -> None:
    """In the list, in the picture's text and, where the authorizer was asked, by its decision."""
    button = f"refuse_{case.name}"
    text = await console.press(button)
    await console.page.locator(f'[data-press="{button}"] button').first.click()
    await console.becomes(f'#calls li[data-status="{case.expected_status}"] [aria-current]')
    picture = await console.page.locator("#picture svg").get_attribute("aria-label")

    assert "kept" == await console.verdict(button), text
    assert f"Answered with {case.expected_status}" in str(picture)
    assert await console.page.locator("#call-advice").is_visible()
    if case.expected_reason != "gateway":
        decisions = await console.page.locator("#decisions").inner_text()
        assert case.expected_reason in decisions
        assert case.expected_reason in await console.page.locator("#steps").inner_text()


async def test_when_old_keys_are_removed_then_their_tokens_are_refused(
    console: ConsolePage,
) -> None:
    """A new key is found at once, and one key is published."""
    text = await console.press("remove_old_keys")
    again = await console.press("call_removed_key")
    published = await console.page.locator("#keys li").count()

    assert "A token of the new key got 200, one of a removed key 401" in text
    assert "401, unknown_key" in again
    assert 1 == published
    for button in ("remove_old_keys", "call_removed_key"):
        assert "kept" == await console.verdict(button)


async def test_when_the_issuer_is_broken_then_calls_go_on_and_it_is_shown(
    console: ConsolePage, stack: LocalStack
) -> None:
    """The authorizer goes on with the keys that it holds; mended, tokens are to be had again."""
    broken = await console.press("break_issuer")
    await console.becomes('[data-tile="issuer"][data-value="broken"]')
    decided = await console.page.locator("#decisions li").first.inner_text()
    called = await console.press("call_direct")
    proxied = await console.press("call_proxy")
    slowed = await console.press("slow_issuer")
    await console.becomes('[data-tile="issuer"][data-value="slow"]')
    mended = await console.press("heal_issuer")
    await console.becomes('[data-tile="issuer"][data-value="well"]')

    assert "A call got 200 with a token from before the outage" in broken
    assert "allowed" in decided
    assert "200 with a token from before the outage" in called
    assert "200" in proxied
    assert "A call got 200 with a token from before the outage" in slowed
    assert "A call got 200 with a token fetched just now" in mended
    assert Condition.WELL is stack.entra.faults.condition
    for button in ("break_issuer", "call_direct", "call_proxy", "slow_issuer", "heal_issuer"):
        assert "kept" == await console.verdict(button)


async def test_when_the_api_is_throttled_then_the_function_app_gets_through(
    console: ConsolePage,
) -> None:
    """Direct calls get 429 with Retry-After; lifted, all get 200."""
    throttled = await console.press("throttle_api")
    await console.becomes('[data-tile="api"][data-value="throttled"]')
    await console.becomes('#calls li[data-status="429"]')
    lifted = await console.press("unthrottle_api")
    await console.becomes('[data-tile="api"][data-value="well"]')

    assert re.search(r"[01] of 6 got 200, [56] got 429, each with Retry-After", throttled)
    assert re.search(r"waits and tries again: 200 after", throttled)
    assert "6 of 6 got 200" in lifted
    for button in ("throttle_api", "unthrottle_api"):
        assert "kept" == await console.verdict(button)


async def test_when_the_store_is_broken_then_the_sync_fails_and_the_checkpoint_stays(
    console: ConsolePage,
) -> None:
    """It says so with a code, and once the store is mended it is complete."""
    await console.press("run_sync")
    before = await console.page.locator("#checkpoint dd").first.inner_text()
    broken = await console.press("break_store")
    await console.becomes('[data-tile="store"][data-value="broken"]')
    failed = await console.press("run_sync")
    failed_verdict = await console.verdict("run_sync")
    await console.becomes('[data-tile="sync"][data-value="failed"]')
    checkpoint = await console.page.locator("#checkpoint dd").first.inner_text()
    runs = await console.page.locator("#runs tr").first.inner_text()
    put_right = await console.press("put_right")
    await console.becomes('[data-tile="store"][data-value="well"]')
    complete = await console.press("run_sync")

    assert "it has to fail" in broken
    assert re.search(r"Failed \(store_(unavailable|timed_out)\)", failed)
    assert "The checkpoint is where it was" in failed
    assert "kept" == failed_verdict
    assert before == checkpoint
    assert "failed" in runs
    assert "store_" in runs
    assert "as at the start" in put_right
    assert "Complete" in complete
    assert "kept" == await console.verdict("run_sync")


async def test_when_everything_is_broken_then_one_button_puts_it_right(
    console: ConsolePage,
) -> None:
    """The tiles say what is broken, and that nothing is any more."""
    for button in ("break_issuer", "throttle_api", "break_store"):
        await console.press(button)
    broken = [await console.tile(name) for name in ("issuer", "api", "store")]
    text = await console.press("put_right")
    await console.becomes('[data-tile="api"][data-value="well"]')

    assert ["broken", "throttled", "broken"] == broken
    assert ["well"] * 3 == [await console.tile(name) for name in ("issuer", "api", "store")]
    assert "A call got 200" in text
    assert "kept" == await console.verdict("put_right")


async def test_when_a_store_needs_mending_then_its_button_does_it(console: ConsolePage) -> None:
    """And so do all that stand beside what they mend."""
    await console.press("break_store")
    text = await console.press("heal_store")

    assert "It can be written to" in text
    assert "kept" == await console.verdict("heal_store")


async def test_when_the_console_ends_then_nothing_stays_broken(stack: LocalStack) -> None:
    """`bridge up` is over by Ctrl-C, whatever was pressed before."""
    throttle = StageThrottle(LocalAws(stack.aws_endpoint_url), stack.deployment)
    before = throttle.read()
    async with Switches.of(stack) as switches:
        stack.entra.faults.break_down()
        await switches.throttle_api()
        await switches.break_store()
        was_broken = not await switches.is_store_writable()

    assert was_broken
    assert before == throttle.read()
    assert Condition.WELL is stack.entra.faults.condition
    with closing(sqlite3.connect(stack.sqlite_path, timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")


# --- for everybody --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
async def test_when_a_checker_looks_for_barriers_then_it_finds_none(
    browser: Browser, url: str, scheme: str, width: int
) -> None:
    """Contrast, names, roles and order, by axe-core; and nothing is wider than the window."""
    size = {"width": width, "height": 900}
    async with open_console(
        browser, url, anchor="#refused", viewport=size, color_scheme=scheme
    ) as it:
        await it.becomes("#picture svg")
        found = await Axe().run(it.page)
        wide = await it.page.evaluate("document.documentElement.scrollWidth")

    assert 0 == found.violations_count, found.generate_report()
    assert 30 < len(found.response["passes"])
    assert width >= wide


async def test_when_only_the_keyboard_is_used_then_everything_can_be_reached(
    console: ConsolePage,
) -> None:
    """Tab goes through every button to the end, each with a visible focus; Enter presses."""
    page = console.page
    await console.becomes("#picture svg")
    seen: list[str] = []
    unmarked: list[str] = []
    for _ in range(200):
        await page.keyboard.press("Tab")
        name, outline = await page.evaluate(
            """() => { const e = document.activeElement;
                const name = e.dataset.button || e.id || e.className || e.tagName;
                return [name, getComputedStyle(e).outlineStyle]; }"""
        )
        if name == "BODY":
            break
        seen.append(name)
        unmarked += [name] if outline == "none" else []
    await page.locator('[data-button="call_direct"]').focus()
    await page.keyboard.press("Enter")
    await console.becomes('[data-press="call_direct"]:not([data-verdict="running"])')
    focused = await page.evaluate("document.activeElement.dataset.button")

    assert {button.id for button in BUTTONS} <= set(seen)
    assert len(seen) < 190
    assert [] == unmarked
    assert "call_direct" == focused


async def test_when_a_theme_is_chosen_then_it_stays(console: ConsolePage) -> None:
    """Over the system's own, also after the page was loaded again."""
    switch = console.page.locator("#theme")
    await switch.click()
    light = await console.page.evaluate("getComputedStyle(document.body).backgroundColor")
    await switch.click()
    dark = await console.page.evaluate("getComputedStyle(document.body).backgroundColor")
    await console.page.reload()
    await console.becomes("#app:not([hidden])")
    kept = await console.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert light != dark == kept
    assert "Theme: dark" == await switch.inner_text()


async def test_when_motion_is_not_wanted_then_nothing_moves(browser: Browser, url: str) -> None:
    """No animation runs when a call comes in."""
    async with open_console(browser, url, reduced_motion="reduce") as it:
        await it.becomes("#app:not([hidden])")
        await it.press("call_direct")
        moving = await it.page.evaluate("document.getAnimations().length")

    assert 0 == moving


async def test_when_there_is_no_javascript_then_the_page_says_what_else_there_is(
    browser: Browser, url: str, stack: LocalStack
) -> None:
    """The commands that tell the same, and where everything runs."""
    async with open_console(browser, url, java_script_enabled=False) as it:
        text = await it.page.locator("body").inner_text()

    assert "bridge trace" in text
    assert stack.functions.url in text


async def test_when_the_stack_has_ended_then_the_page_says_so_and_comes_back_by_itself(
    browser: Browser, stack: LocalStack
) -> None:
    """A closed terminal is no riddle; the next start is seen without loading the page."""
    clock = SystemClock()
    async with serve_console(stack, places_of(stack), clock, port=0) as first:
        opened = open_console(browser, first)
        it = await opened.__aenter__()
        await it.becomes("#app:not([hidden])")
    await it.becomes("#gone:not([hidden])")
    said = await it.page.locator("#gone").inner_text()
    is_off = await it.page.locator('[data-button="call_direct"]').get_attribute("aria-disabled")
    port = int(first.rstrip("/").rpartition(":")[2])
    async with serve_console(stack, places_of(stack), clock, port=port):
        await it.becomes("#gone[hidden]")
        await it.becomes(".connection.live")
        text = await it.press("call_direct")
        await opened.__aexit__(None, None, None)

    assert "bridge up" in said
    assert "true" == is_off
    assert "200" in text


# --- who may not ----------------------------------------------------------------------------------

ATTACK = """<!DOCTYPE html><title>Another page</title><script>
async function attempt(name, work) {
  try { results[name] = String(await work()); } catch (error) { results[name] = "refused"; }
}
const results = {};
const url = "%s";
const press = (options) => fetch(url + "buttons/rotate_key", { method: "POST", ...options });
window.done = (async () => {
  await attempt("page", async () => (await fetch(url)).text());
  await attempt("asset", async () => (await fetch(url + "console.js")).text());
  await attempt("press", async () => (await press({
    headers: { "Content-Type": "application/json", "X-CSRF-Token": "x" }, body: "{}" })).status);
  await attempt("blind_press", async () => (await press({ mode: "no-cors", body: "{}" })).type);
  await attempt("stream", () => new Promise((resolve, reject) => {
    const source = new EventSource(url + "stream");
    source.addEventListener("snapshot", resolve); source.onerror = reject;
  }));
  await attempt("frame", () => new Promise((resolve) => {
    const frame = document.createElement("iframe"); frame.src = url;
    frame.onload = () => {
      try { resolve(frame.contentDocument.body.innerText); } catch { resolve("not readable"); } };
    document.body.append(frame);
  }));
  await attempt("script", () => new Promise((resolve, reject) => {
    const script = document.createElement("script"); script.src = url + "console.js";
    script.onload = resolve; script.onerror = reject; document.body.append(script);
  }));
  return results;
})();
</script><body></body>"""


async def test_when_another_page_of_this_machine_tries_then_it_reads_and_presses_nothing(
    browser: Browser, url: str, stack: LocalStack
) -> None:
    """It is of the same site, as a browser sees it, and yet another origin."""

    async def attack(_request: web.Request) -> web.Response:
        return web.Response(text=ATTACK % url, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", attack)])
    runner = web.AppRunner(app)
    await runner.setup()
    listener = bind_listener(0)
    await web.SockSite(runner, listener).start()
    keys = stack.entra.issuer.keys.published
    page = await browser.new_page()
    try:
        await page.goto(f"http://{LOOPBACK}:{listener.getsockname()[1]}/")
        results = await page.evaluate("window.done")
        frames = [frame.url for frame in page.frames[1:]]
    finally:
        await page.close()
        await runner.cleanup()

    assert {
        "page": "refused",
        "asset": "refused",
        "press": "refused",
        "blind_press": "refused",
        "stream": "refused",
        "frame": "not readable",
        "script": "refused",
    } == results
    assert keys == stack.entra.issuer.keys.published
    assert not any(frame == url for frame in frames)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "stream"), ("GET", "console.js"), ("POST", "buttons/rotate_key")],
)
async def test_when_a_name_is_made_to_lead_here_then_it_gets_nothing(
    url: str, method: str, path: str
) -> None:
    """DNS rebinding: the browser takes it for the page's own origin, and only the Host differs."""
    host = f"rebound.example:{url.rstrip('/').rpartition(':')[2]}"
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url + path, headers=headers) as answer,
    ):
        document = await answer.json()

    assert (421, "host_not_ours") == (answer.status, document["code"])


@pytest.mark.parametrize(
    "path",
    ["", "console.css", "console.js", "icon.svg", "nothing", "buttons/x", "../pyproject.toml"],
)
async def test_when_anything_is_answered_then_it_has_every_header_of_the_policy(
    url: str, path: str
) -> None:
    """Files, errors and refusals alike; and nothing outside the page's folder is served."""
    async with aiohttp.ClientSession() as http, http.get(url + path) as answer:
        served = answer.status, dict(answer.headers)

    assert served[0] in ({200} if path == "" or path[-3:] in {"css", ".js", "svg"} else {404, 405})
    assert dict(HEADERS) == {name: served[1].get(name) for name in HEADERS}


@pytest.mark.parametrize(
    "sent",
    [
        b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\x16\x03\x01\x00\xee\x01\x00",
    ],
    ids=["odd_method", "no_host", "two_hosts", "tls"],
)
async def test_when_something_else_than_http_comes_then_it_is_refused_and_the_terminal_is_quiet(
    url: str, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Anything on this machine can send it, as often as it likes."""
    reader, writer = await asyncio.open_connection(LOOPBACK, int(url.rstrip("/").split(":")[2]))
    writer.write(sent)
    answer = await reader.read(12)
    writer.close()

    assert b" 400" == answer[8:]
    assert [] == caplog.records


async def test_when_the_head_of_the_stream_is_asked_for_then_no_place_is_taken(url: str) -> None:
    """Who cannot read a stream must not count as one who looks."""
    async with aiohttp.ClientSession() as http:
        for _ in range(MOST_MEMBERS + 1):
            async with http.head(f"{url}stream") as answer:
                assert 404 == answer.status


async def test_when_a_reader_never_reads_then_it_is_let_go_and_the_others_hear_all(
    url: str, stack: LocalStack
) -> None:
    """Its queue and its connection are bounded; nobody waits for it."""
    host, port = LOOPBACK, int(url.rstrip("/").rpartition(":")[2])
    sleeper = socket.socket()
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sleeper.connect((host, port))
    sleeper.sendall(f"GET /stream HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    log = stack.log_folder / "lambda.log"
    line = json.dumps({"event": "decision", "outcome": "x", "reason": "y" * 150})
    heard = 0
    async with aiohttp.ClientSession() as http, http.get(f"{url}stream") as stream:
        while heard < 24:
            # Each one is news, with forty long decisions in it.
            await asyncio.to_thread(_append, log, f"{line}\n" * 40)
            heard += await _events_in(stream)
    await asyncio.sleep(WRITE_SECONDS)
    with closing(sleeper):
        sleeper.settimeout(10)
        is_closed = await asyncio.to_thread(_is_closed, sleeper)

    assert is_closed


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


async def _events_in(stream: aiohttp.ClientResponse) -> int:
    data = await stream.content.readany()
    return data.count(b"event: ")


def _is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


async def test_when_everything_was_pressed_then_nothing_that_is_served_is_a_secret(
    console: ConsolePage, url: str, stack: LocalStack
) -> None:
    """No token, secret, key or person, in the page, its files or the stream."""
    for button in ("call_direct", "call_proxy", "refuse_bad_signature", "refuse_missing_role"):
        await console.press(button)
    async with aiohttp.ClientSession() as http:
        served = [
            await (await http.get(url + path)).text()
            for path in ("", "console.js", "console.css", "icon.svg")
        ]
        async with http.get(f"{url}stream") as stream:
            snapshot = b""
            while b'"presses"' not in snapshot or not snapshot.endswith(b"\n\n"):
                snapshot += await stream.content.readany()
    text = "\n".join([*served, snapshot.decode(), await console.page.content()])
    applications = stack.tenant.directory.applications
    secrets = [secret for each in applications for secret in each.secrets]
    jwk = stack.entra.issuer.keys.current.as_jwk()
    people = [each.object_id for each in applications] + [stack.tenant.function_app.object_id]
    csrf = re.search(r'csrf-token" content="([^"]+)"', served[0])

    assert 20_000 < len(text)
    assert not re.search(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+", text)
    for secret in [*secrets, stack.entra.identity_header, str(jwk["n"]), str(jwk["kid"]), *people]:
        assert secret
        assert secret not in text
    assert csrf is not None
    assert csrf[1] not in snapshot.decode()


async def test_when_logs_hold_markup_then_it_is_shown_as_text(
    console: ConsolePage, stack: LocalStack
) -> None:
    """A caller who gets markup into a log gets it into nobody's page."""
    line = {
        "event": "decision",
        "outcome": "<b>x</b>",
        "reason": "<img src=x onerror=alert(1)>",
        "client_id": "<script>alert(1)</script>",
    }
    await asyncio.to_thread(_append, stack.log_folder / "lambda.log", json.dumps(line) + "\n")
    await console.page.wait_for_function(
        "() => document.getElementById('decisions').innerText.includes('<img src=x')",
        timeout=10_000,
    )

    assert 0 == await console.page.locator("#decisions :is(img, script)").count()


# --- bridge up -----------------------------------------------------------------------------------


async def test_when_the_consoles_port_is_taken_then_bridge_up_names_the_option(
    tmp_path: Path,
) -> None:
    """Before anything is started, and with who has the port."""
    with closing(bind_listener(0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["up", "--console-port", str(port), "--folder", str(tmp_path / "up")]
        result = await asyncio.to_thread(CliRunner().invoke, bridge_app, arguments)

    assert 1 == result.exit_code
    assert f"port {port} on 127.0.0.1 is taken" in result.stderr.replace("\n", " ")
    assert "--console-port" in result.stderr
    assert "console_unavailable" in result.stderr
    assert not (tmp_path / "up").exists()
