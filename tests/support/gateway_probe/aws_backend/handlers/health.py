"""The same echo, behind a public route."""

from .records import handler

__all__ = ["handler"]
