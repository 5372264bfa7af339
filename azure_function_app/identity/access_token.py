"""An access token and how long it is good for."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What the credential obtained. Neither `repr` nor a log line shows the token itself."""

    value: str = field(repr=False)
    expires_at: float
    """Seconds since 1970 UTC, as the issuer told it."""

    @property
    def authorization(self) -> str:
        """Return the value of the Authorization header (RFC 6750 section 2.1)."""
        return f"Bearer {self.value}"
