"""What a call looks like: a ladder of its steps for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge_cli.tracing.advice import is_well, what_to_change
from bridge_cli.tracing.traced_call import CALLED, DECISION_REUSED, Actor, Step, TracedCall

WIDTH: Final = 80
_MOST_STEPS: Final = 60
_LAST_STEPS: Final = 10
_MOST_DECIDED: Final = 5
_INDENT: Final = {actor: "  " * number for number, actor in enumerate(Actor)}
_NAMES: Final = {
    Actor.CALLER: "caller",
    Actor.FUNCTION_APP: "Function App",
    Actor.GATEWAY: "API Gateway",
    Actor.AUTHORIZER: "authorizer",
    Actor.BACKEND: "backend",
}
_TOLD: Final = (
    "status",
    "outcome",
    "reason",
    "gateway_error",
    "code",
    "error_code",
    "trouble",
    "result",
    "why",
)
"""The fields that say what came of a step, in the order in which they are shown."""


def print_call(call: TracedCall, console: Console) -> None:
    """Print the call with all its steps, why it ended as it did, and what to change."""
    console.print(_headline(call))
    console.print(Text(f"trace    {call.trace_id}"))
    for number, request_id in enumerate(call.request_ids[:_LAST_STEPS]):
        console.print(Text(f"{'' if number else 'IDs':<8} {request_id}"))
    console.print()
    console.print(_ladder(call))
    console.print()
    for sentence in _conclusions(call):
        console.print(sentence)


def print_list(calls: Sequence[TracedCall], console: Console) -> None:
    """Print one line for each call, the newest last."""
    table = Table(box=None, pad_edge=False, width=WIDTH)
    table.add_column("began", no_wrap=True)
    table.add_column("call", ratio=1, overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("reason", ratio=1, overflow="fold")
    table.add_column("trace", no_wrap=True, width=32)
    for call in calls:
        table.add_row(
            _clock_time(call.began).partition(".")[0],
            Text(_title(call)),
            Text(str(call.status or "-"), style="" if is_well(call) else "bold red"),
            Text(f"{call.reason or '-'}{' (kept)' if call.is_cached else ''}"),
            call.trace_id,
        )
    console.print(table)


def call_to_members(call: TracedCall) -> Mapping[str, object]:
    """Return the call as JSON's types, with what to change."""
    return {**asdict(call), "what_to_change": what_to_change(call)}


def calls_to_json(calls: Sequence[TracedCall]) -> str:
    """Return the calls as one JSON object on one line."""
    return json.dumps({"calls": [call_to_members(call) for call in calls]}, allow_nan=False)


def _headline(call: TracedCall) -> Text:
    status = "" if call.status is None else f"  {call.status}"
    style = "bold green" if is_well(call) else "bold red"
    return Text.assemble(
        (f"{_title(call)}{status}", style),
        f"  {_duration(call)}  began {_clock_time(call.began)} UTC",
    )


def _title(call: TracedCall) -> str:
    if call.method:
        return f"{call.method} {call.path or '(no route)'}"
    is_run = any("run_id" in step.fields for step in call.steps)
    return "a run of the sync" if is_run else "a call"


def _duration(call: TracedCall) -> str:
    ends = [step.at + (step.milliseconds or 0.0) / 1_000 for step in call.steps]
    return f"{(max(ends) - call.began) * 1_000:,.0f} ms"


def _clock_time(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when:%H:%M:%S}.{when.microsecond // 1_000:03d}"


def _ladder(call: TracedCall) -> Table:
    table = Table(box=None, pad_edge=False, width=WIDTH)
    table.add_column("at ms", justify="right", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("who", no_wrap=True)
    table.add_column("what", overflow="fold", ratio=1)
    left_out = len(call.steps) - _MOST_STEPS
    for number, step in enumerate(call.steps):
        if left_out > 0 and number == _MOST_STEPS - _LAST_STEPS:
            table.add_row("", "", "", Text(f"... {left_out:,} more steps; --json has them"))
        if left_out > 0 and _MOST_STEPS - _LAST_STEPS <= number < len(call.steps) - _LAST_STEPS:
            continue
        table.add_row(
            f"{(step.at - call.began) * 1_000:,.0f}",
            "" if step.milliseconds is None else f"{step.milliseconds:,.0f}",
            f"{_INDENT[step.actor]}{_NAMES[step.actor]}",
            Text(_told(step)),
        )
    return table


def _told(step: Step) -> str:
    if step.event == CALLED:
        return "calls"
    if step.event == DECISION_REUSED:
        outcome = step.fields.get("outcome", "decision")
        return f"not asked: API Gateway had kept its answer ({outcome})"
    told = [str(step.fields[name]) for name in _TOLD if name in step.fields]
    # A reason that is the outcome's own name says nothing more.
    return " ".join([step.event, *dict.fromkeys(told)])


def _conclusions(call: TracedCall) -> list[Text]:
    reused = [step for step in call.steps if step.event == DECISION_REUSED]
    # A run of the sync asks many times, and is told the same each time.
    sentences = dict.fromkeys(("Decided:", _where_decided(step)) for step in reused[:_MOST_DECIDED])
    if not is_well(call):
        sentences |= {("Why:", call.reason or "no line says"): None}
        change = what_to_change(call)
        if change:
            sentences |= {("Change:", change): None}
    return [Text.assemble((f"{label:<9}", "bold"), text) for label, text in sentences]


def _where_decided(step: Step) -> str:
    decision_id, at = step.fields.get("decision_id"), step.fields.get("decided_at")
    if not isinstance(at, float):
        return f"by {decision_id}, whose line is no longer in the log."
    return f"at {_clock_time(at)} UTC, for an earlier call: bridge trace {decision_id}"
