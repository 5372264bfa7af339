"""An access token and how long it is good for."""

import re
from dataclasses import dataclass, field
from typing import Final

LONGEST_TOKEN: Final = 9_216
"""Characters of the longest token that can be sent: API Gateway takes 10,240 bytes of headers, and
a request has others than this one.
https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


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

    @property
    def is_well_formed(self) -> bool:
        """Return whether a header can hold it: no space, control or non-ASCII character in it."""
        return _BEARER_TOKEN.fullmatch(self.value) is not None
