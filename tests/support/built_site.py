"""What sees the docs' site: a server on loopback, a real browser, and a network that is shut."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHECKOUT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"

NO_NETWORK = """\
import socket

def refuse(*_):
    raise RuntimeError("the site is built without a network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
"""
"""A sitecustomize.py: what the build asks of the network fails it."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep the test's output free of it."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of the folder's files, on loopback, while it is open."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser: Browser, base: str, **options: object) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what went wrong in it so far: errors, and requests that leave `base`."""
    problems: list[str] = []
    context = browser.new_context(**options)  # type: ignore[arg-type] # as they are Playwright's
    page = context.new_page()
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((base, "data:", "blob:"))
            else problems.append(f"request to {request.url}")
        ),
    )
    page.on(
        "requestfailed",
        lambda request: (
            None
            if request.failure == "net::ERR_ABORTED"  # by the next page
            else problems.append(f"{request.failure}: {request.url}")
        ),
    )
    page.on(
        "response",
        lambda answer: (
            problems.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
        ),
    )
    page.on(
        "console",
        lambda message: (
            problems.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        yield page, problems
    finally:
        context.close()
