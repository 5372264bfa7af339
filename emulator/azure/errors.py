"""What the local Azure refuses, and what keeps it from starting."""


class AzureRefusal(Exception):
    """A request cannot be carried out; nothing was changed by it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Take the HTTP status, the stable code, and a sentence that says what to change."""
        super().__init__(message)
        self.status = status
        self.code = code


class LocalAzureError(Exception):
    """The local Azure could not be started; the message says what to change."""

    code = "local_azure_unavailable"
