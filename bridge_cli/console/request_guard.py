"""Who may read the console and press its buttons: its own page, and no other one.

Every page that the same browser shows can send requests to loopback, and a page under a name that
an attacker makes resolve to 127.0.0.1 can read the answers (DNS rebinding). So the Host must be one
of ours; what is read must not be asked for by another page, and a button is pressed only by who
could read the page. Whoever can run programs on this machine can open the page all the same.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, assert_never

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every answer has. No address of ours allows another origin anything (no CORS)."""
CSRF_HEADER: Final = "X-CSRF-Token"


class Part(StrEnum):
    """What is asked for."""

    PAGE = "page"
    """The page itself, to which a link may lead from anywhere."""
    ASSET = "asset"
    STREAM = "stream"
    BUTTON = "button"


class Refusal(NamedTuple):
    """Why a request gets nothing."""

    status: int
    code: str
    sentence: str


_WRONG_HOST: Final = Refusal(
    421, "host_not_ours", "Open the console at the address that `bridge up` prints."
)
_ANOTHER_PAGE: Final = Refusal(403, "another_page", "Only the console's own page may ask for this.")
_STALE_PAGE: Final = Refusal(
    403, "stale_page", "This page belongs to an earlier start of the console: load it again."
)
_NOT_JSON: Final = Refusal(415, "not_json", "Send a JSON object.")


@dataclass(frozen=True, slots=True)
class RequestGuard:
    """Knows where the console is, and the token that only its page holds."""

    port: int
    csrf_token: str = field(repr=False)

    def refuse(self, part: Part, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request gets nothing; None if it may have what it asks for.

        Args:
            part: what is asked for.
            headers: the request's, names in any case, as aiohttp has them. Browsers set those that
                are read here, and no page can change them.

        """
        host = headers.get("Host", "")
        if host not in {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}:
            return _WRONG_HOST
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
        is_ours = origin in {None, f"http://{host}"} and site in {None, "same-origin", "none"}
        match part:
            case Part.PAGE:
                is_opened = headers.get("Sec-Fetch-Dest", "document") == "document"
                return None if is_opened else _ANOTHER_PAGE
            case Part.ASSET | Part.STREAM:
                return None if is_ours else _ANOTHER_PAGE
            case Part.BUTTON:
                # A browser names the origin of every POST, so one without it comes from elsewhere.
                if origin is None or not is_ours or site == "none":
                    return _ANOTHER_PAGE
                return self._refuse_press(headers)
            case _:
                assert_never(part)

    def _refuse_press(self, headers: Mapping[str, str]) -> Refusal | None:
        shown = headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(shown.encode(), self.csrf_token.encode()):
            return _STALE_PAGE
        media_type = headers.get("Content-Type", "").partition(";")[0].strip()
        return None if media_type == "application/json" else _NOT_JSON
