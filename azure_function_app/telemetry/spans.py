"""Spans as the rest of the Function App records them; where telemetry is off, at no cost.

Names and fields are OpenTelemetry's, where it has one for it. A field never holds a token, a URL's
query, a path as the caller wrote it, or anything about a person.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self

from shared.trace_context import TraceContext

type FieldValue = str | int | float | bool | None


class Span(Protocol):
    """One piece of work, from the beginning of its block to the end."""

    @property
    def context(self) -> TraceContext | None:
        """Return the span's place in the trace; None where the span is not recorded."""

    def set(self, fields: Mapping[str, FieldValue]) -> None:
        """Add fields. One whose value is None plays no part."""

    def fail(self, code: str) -> None:
        """Mark the work as failed, with the stable code of what is wrong."""


class SpanRecorder(Protocol):
    """Records spans. Never blocks, and raises nothing of its own."""

    def span(
        self, name: str, fields: Mapping[str, FieldValue] | None = None, *, calls: str = ""
    ) -> AbstractContextManager[Span]:
        """Return a block that is a span of the current trace; spans within it are its children.

        An exception that leaves the block marks it as failed, and goes on.

        Args:
            name: of the work, not of its object: there are few of them.
            fields: what is known at the beginning.
            calls: the URL's template, if the span is a call of one.

        """


class _NoSpan:
    context: Final = None

    def set(self, fields: Mapping[str, FieldValue]) -> None:
        pass

    def fail(self, code: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


NO_SPAN: Final = _NoSpan()


class _NoSpans:
    def span(
        self,
        name: str,  # noqa: ARG002 - the protocol's
        fields: Mapping[str, FieldValue] | None = None,  # noqa: ARG002 - the same
        *,
        calls: str = "",  # noqa: ARG002 - the same
    ) -> _NoSpan:
        return NO_SPAN


NO_SPANS: Final[SpanRecorder] = _NoSpans()
"""Records nothing."""
