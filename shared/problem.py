"""What the problem documents (RFC 9457) of both clouds say alike."""

from typing import Final

MEDIA_TYPE: Final = "application/problem+json"
TYPE: Final = "about:blank"
"""Means that the title is the status's own phrase (section 4.2.1); `code` says what went wrong."""
