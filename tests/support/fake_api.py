"""The API in AWS as the proxy sees it, in memory."""

from collections.abc import Sequence

import httpx

from azure_function_app.aws_api.client import ApiRequest, ApiResponse
from azure_function_app.deadline import Deadline


class FakeApi:
    """Answers every request with what it was given, and remembers what it was asked."""

    def __init__(
        self,
        content: bytes = b"",
        *,
        status: int = 200,
        headers: Sequence[tuple[str, str]] = (),
        error: Exception | None = None,
    ) -> None:
        """Answer so, or raise the error."""
        self.response = ApiResponse(status, httpx.Headers(list(headers)), content)
        self.error = error
        self.requests: list[ApiRequest] = []
        self.deadlines: list[float] = []

    async def fetch(self, request: ApiRequest, *, deadline: Deadline) -> ApiResponse:
        """The answer."""
        self.requests.append(request)
        self.deadlines.append(deadline.remaining_seconds())
        if self.error is not None:
            raise self.error
        return self.response

    @property
    def request(self) -> ApiRequest:
        """The one request that was made."""
        (request,) = self.requests
        return request

    @property
    def request_headers(self) -> dict[str, str]:
        """Its headers."""
        return dict(self.request.headers)
