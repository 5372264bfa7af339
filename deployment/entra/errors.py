"""What keeps the registration from being read or changed; each says what to do about it."""


class EntraError(Exception):
    """The registration cannot be read or changed; the message says what to change."""

    def __init__(self, code: str, message: str) -> None:
        """Take the stable code and the sentence for people."""
        super().__init__(message)
        self.code = code


class SignInError(EntraError):
    """The Azure CLI gives no token of an administrator of this tenant."""


class GraphError(EntraError):
    """Microsoft Graph does not do what it was asked."""

    def __init__(self, code: str, message: str, *, status: int = 0, said: str = "") -> None:
        """Take also the HTTP status and what Graph said, for who decides whether to go on."""
        super().__init__(code, message)
        self.status = status
        self.said = said


class RegistrationRefused(EntraError):
    """What is in the directory contradicts what is wanted, so nothing was changed."""
