"""HTTP for the checks: one try, no redirects, a bounded body, and headers of the check's own."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

import httpx

from deployment.smoke.outcome import CheckFailedError, SmokeCode, shown
from deployment.smoke.target import SmokeTarget, is_loopback_url

_MOST_BYTES: Final = 4 * 1024 * 1024
"""More than a page of one record, whose data is below 400 KB, however it is escaped."""
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: httpx.Headers
    body: bytes

    def members(self) -> Mapping[str, object]:
        """Return the members of the JSON object in the body; none if it is none."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def code(self) -> str | None:
        """The stable code of a problem document; None if the body has none."""
        code = self.members().get("code")
        return code if isinstance(code, str) and _CODE.fullmatch(code) else None

    def summary(self) -> str:
        """Return status and code, which hold no secret."""
        kind = self.headers.get("x-amzn-errortype", "")
        named = self.code or (kind if re.fullmatch(r"[A-Za-z]{1,60}", kind) else None)
        return f"HTTP {self.status}" + (f" {named}" if named else "")


class HttpCaller:
    """Asks one side of the pair."""

    def __init__(self, side: str, base_url: str, http: httpx.AsyncClient) -> None:
        """Take the name of the side for a person, its URL and the client."""
        self.side = side
        self.base_url = base_url
        self._http = http

    @classmethod
    @asynccontextmanager
    async def to(cls, side: str, base_url: str) -> AsyncIterator[Self]:
        """Give the block a caller. A company's proxy and roots are read from the environment."""
        async with httpx.AsyncClient(
            follow_redirects=False,
            # The checks have deadlines of their own, which a dripping peer cannot prolong.
            timeout=None,  # noqa: S113 - see above
            trust_env=not is_loopback_url(base_url),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        ) as http:
            yield cls(side, base_url, http)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Return the answer, whatever its status.

        Raises:
            CheckFailedError: nobody answers there, or not in HTTP, or with too much.

        """
        url = f"{self.base_url}{path}"
        try:
            # Each check gets a connection's cookies of its own: none.
            self._http.cookies.clear()
            async with self._http.stream(
                method, url, headers=dict(headers or {}), content=content
            ) as response:
                body = await self._read(response)
                return Answer(response.status_code, response.headers, body)
        except httpx.ConnectError as error:
            raise CheckFailedError(
                SmokeCode.UNREACHABLE,
                f"no connection ({shown(error) or type(error).__name__})",
                f"Nobody answers at the address of {self.side}: check the URL, its DNS name, and"
                " whether a private endpoint or a company proxy stands before it.",
            ) from error
        except httpx.HTTPError as error:
            raise CheckFailedError(
                SmokeCode.ANSWER_UNREADABLE,
                f"no whole HTTP answer ({type(error).__name__})",
                f"What answers at the address of {self.side} broke the answer off or does not speak"
                " HTTP: check the URL and what stands before it.",
            ) from error

    async def _read(self, response: httpx.Response) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            raise CheckFailedError(
                SmokeCode.ANSWER_UNREADABLE,
                f"a body in the encoding {shown(encoding)}, which nobody asked for",
                f"Let what stands before {self.side} heed Accept-Encoding.",
            )
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > _MOST_BYTES:
                raise CheckFailedError(
                    SmokeCode.ANSWER_TOO_LARGE,
                    f"HTTP {response.status_code} with more than {_MOST_BYTES} bytes",
                    f"What answers is not {self.side}: check the URL.",
                )
        return bytes(body)


@asynccontextmanager
async def callers_to(target: SmokeTarget) -> AsyncIterator[tuple[HttpCaller, HttpCaller | None]]:
    """Give the block a caller of the API, and one of the Function App if there is one to try."""
    async with HttpCaller.to("the API", target.api_url) as api:
        if target.function_app_url is None:
            yield api, None
            return
        async with HttpCaller.to("the Function App", target.function_app_url) as functions:
            yield api, functions
