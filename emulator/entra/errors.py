"""The refusals of the token endpoint and of the managed identity endpoint."""


class EntraRefusal(Exception):
    """The token endpoint gives no token; shaped as Entra ID's own error (RFC 6749 section 5.2).

    Microsoft forbids branching on the description, so tests may compare only `code`.
    """

    def __init__(self, code: int, error: str, description: str) -> None:
        """Take the AADSTS code, the OAuth error and the sentence that follows the code."""
        super().__init__(f"AADSTS{code}: {description}")
        self.code = code
        self.error = error

    @property
    def status(self) -> int:
        """The HTTP status: 401 if the client could not prove who it is, else 400."""
        return 401 if self.error == "invalid_client" else 400


class EntraUnavailable(EntraRefusal):
    """Entra ID cannot answer at the moment; it does not say anything about the request."""

    def __init__(self) -> None:
        """Take Entra ID's own words for it."""
        super().__init__(
            90033,
            "temporarily_unavailable",
            "A transient error has occurred. Please try again.",
        )

    @property
    def status(self) -> int:
        """The HTTP status."""
        return 503


class IdentityRefusal(Exception):
    """The managed identity endpoint gives no token."""

    def __init__(self, status: int, message: str) -> None:
        """Take the HTTP status and the message of the response."""
        super().__init__(message)
        self.status = status
        self.message = message


class GraphRefusal(Exception):
    """Microsoft Graph does not do what was asked; shaped as its error responses are."""

    def __init__(self, status: int, code: str, message: str, *, detail: str = "") -> None:
        """Take the HTTP status, the error code, the message and, where one is known, a detail."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail


class EntraStartError(Exception):
    """The local Entra cannot start; the message says what to change."""
