"""What can be wrong with a release."""


class ReleaseError(Exception):
    """A release cannot be made like this; the message says what to change."""

    def __init__(self, code: str, message: str) -> None:
        """Take a stable code and one sentence or more."""
        super().__init__(message)
        self.code = code
