"""Traced calls as the page draws them: who, what, how long, and why not."""

from collections.abc import Mapping, Sequence
from typing import Final

from bridge_cli.console.shown import Json, shown, shown_or_none
from bridge_cli.tracing.advice import is_well, what_to_change
from bridge_cli.tracing.local_logs import LocalLogs
from bridge_cli.tracing.traced_call import CALLED, Step, TracedCall

CALLS_SHOWN: Final = 60
_STEPS_SHOWN: Final = 60
_FIELDS_SHOWN: Final = 16
_IDS_SHOWN: Final = 40


class CallView:
    """The newest calls, and which of them have changed since they were last sent."""

    def __init__(self, logs: LocalLogs) -> None:
        """Take where calls come from."""
        self._logs = logs
        self._newest: dict[str, TracedCall] = {}

    def read_new(self) -> Json | None:
        """Read the logs on; return the calls that are new or changed, and the IDs of all.

        None if nothing has changed.
        """
        self._logs.read_new()
        calls = [call for call in self._logs.calls() if _is_known(call)]
        known, self._newest = self._newest, _by_id(calls[-CALLS_SHOWN:])
        if known == self._newest:
            return None
        changed = {
            call_id: call for call_id, call in self._newest.items() if known.get(call_id) != call
        }
        return _members_of(changed, self._newest)

    def newest(self) -> Json:
        """Return all of them as they were when last read."""
        return _members_of(self._newest, self._newest)


def _is_known(call: TracedCall) -> bool:
    """Return whether more is known of it than that the authorizer fetched keys meanwhile."""
    return any(step.event not in {CALLED, "key_set_fetch"} for step in call.steps)


def _by_id(calls: Sequence[TracedCall]) -> dict[str, TracedCall]:
    """Return the calls by an ID of their own: a caller can make several in one trace."""
    by_id: dict[str, TracedCall] = {}
    for call in calls:
        call_id = call.trace_id
        while call_id in by_id:
            call_id += "+"
        by_id[call_id] = call
    return by_id


def _members_of(calls: Mapping[str, TracedCall], all_calls: Mapping[str, TracedCall]) -> Json:
    return {
        "changed": [to_members(call_id, call) for call_id, call in calls.items()],
        "ids": [shown(call_id) for call_id in all_calls],
    }


def to_members(call_id: str, call: TracedCall) -> Json:
    """Return the call for the page; what stands in it came from logs, so all of it is bounded."""
    return {
        "id": shown(call_id),
        "trace_id": shown(call.trace_id),
        "request_ids": [shown(each) for each in call.request_ids[:_IDS_SHOWN]],
        "began": call.began,
        "method": shown(call.method, 12),
        "path": shown(call.path, 96),
        "status": call.status,
        "reason": shown_or_none(call.reason),
        "what_to_change": shown(what_to_change(call) or "", 300),
        "is_well": is_well(call),
        "is_cached": call.is_cached,
        "steps": [_step(step) for step in call.steps[:_STEPS_SHOWN]],
        "steps_left_out": max(0, len(call.steps) - _STEPS_SHOWN),
    }


def _step(step: Step) -> Json:
    fields = list(step.fields.items())[:_FIELDS_SHOWN]
    return {
        "actor": step.actor.value,
        "event": shown(step.event, 48),
        "at": step.at,
        "milliseconds": step.milliseconds,
        "fields": {shown(name, 48): shown(value) for name, value in fields if value is not None},
    }
