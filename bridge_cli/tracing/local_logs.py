"""The calls of a running local stack, put together from the logs of its parts."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bridge_cli.tracing.call_assembly import assemble, split
from bridge_cli.tracing.growing_file import GrowingFile
from bridge_cli.tracing.log_line import (
    LogLine,
    ParseLine,
    harmless,
    parse_access_line,
    parse_function_app_line,
    parse_lambda_line,
)
from bridge_cli.tracing.traced_call import Actor, TracedCall
from shared.trace_context import parse_amzn_trace_id, parse_traceparent

MOST_CALLS: Final = 500
_MOST_LINES: Final = 20_000
_MOST_LINES_A_TRACE: Final = 500
_MOST_DECISIONS: Final = 5_000

LOGS: Final[dict[str, ParseLine]] = {
    "function-app.log": parse_function_app_line,
    "access.log": parse_access_line,
    "lambda.log": parse_lambda_line,
}
"""The logs of a stack's parts, and how a line of each is read."""


class _Trace:
    """The lines of one trace, and the calls in it as long as no further line has come."""

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque(maxlen=_MOST_LINES_A_TRACE)
        self.calls: tuple[TracedCall, ...] | None = None


class LocalLogs:
    """Reads the logs as they grow, and keeps the newest calls: never more than a few megabytes."""

    def __init__(self, log_folder: Path) -> None:
        """Take the folder of the logs; nothing is read yet."""
        self._files = [
            (GrowingFile(log_folder / name), parse_line) for name, parse_line in LOGS.items()
        ]
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._decisions: OrderedDict[str, LogLine] = OrderedDict()
        self._line_count = 0

    def read_new(self) -> None:
        """Read what the parts have logged since the last time."""
        for file, parse_line in self._files:
            for text in file.read_new():
                line = parse_line(text)
                if line is not None:
                    self._add(line)

    def calls(self) -> tuple[TracedCall, ...]:
        """Return the newest calls, in the order in which they began."""
        found = [call for trace in self._traces.values() for call in self._calls_of(trace)]
        return tuple(sorted(found, key=lambda call: call.began)[-MOST_CALLS:])

    def find(self, any_id: str) -> TracedCall | None:
        """Return the newest call that has this ID, or None if none is known.

        Any ID will do that an answer or a log shows: `x-request-id`, `x-amzn-requestid`, the
        authorizer's `decision_id`, a trace ID in either cloud's form, or a whole `traceparent`.
        """
        return next(iter(self.find_all(any_id)), None)

    def find_all(self, any_id: str) -> tuple[TracedCall, ...]:
        """Return every call that has this ID, the newest first: a trace can have several."""
        wanted = any_id.strip()
        trace_id = trace_id_in(wanted)
        shown = harmless(wanted, 128)
        found = [
            call for call in self.calls() if call.trace_id == trace_id or shown in call.request_ids
        ]
        return tuple(reversed(found))

    def _add(self, line: LogLine) -> None:
        trace = self._traces.setdefault(line.trace_id, _Trace())
        self._traces.move_to_end(line.trace_id)
        if len(trace.lines) < _MOST_LINES_A_TRACE:
            self._line_count += 1
        trace.lines.append(line)
        trace.calls = None
        if line.actor is Actor.AUTHORIZER and line.own_id and line.event == "decision":
            self._decisions[line.own_id] = line
            while len(self._decisions) > _MOST_DECISIONS:
                self._decisions.popitem(last=False)
        while len(self._traces) > MOST_CALLS or self._line_count > _MOST_LINES:
            _, oldest = self._traces.popitem(last=False)
            self._line_count -= len(oldest.lines)

    def _calls_of(self, trace: _Trace) -> Iterable[TracedCall]:
        if trace.calls is None:
            trace.calls = tuple(
                assemble(lines, self._decisions.get) for lines in split(tuple(trace.lines))
            )
        return trace.calls


def trace_id_in(text: str) -> str | None:
    """Return the trace that the text names in one of its spellings, or None if it names none."""
    parent = parse_traceparent(text)
    if parent is not None:
        return parent.trace_id
    lower = text.lower()
    for spelled in (text, f"Root={lower}", f"Root=1-{lower[:8]}-{lower[8:]}"):
        context = parse_amzn_trace_id(spelled)
        if context is not None:
            return context.trace_id
    return None
