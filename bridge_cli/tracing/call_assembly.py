"""Puts the lines of one trace together: which belong to the same call, and what they tell of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Final

from bridge_cli.tracing.log_line import LogLine
from bridge_cli.tracing.traced_call import CALLED, DECISION_REUSED, Actor, Step, TracedCall

type FindDecision = Callable[[str], LogLine | None]
"""Gives the line of a decision by its ID, whichever call it was made for."""

_ORDER: Final = {actor: number for number, actor in enumerate(Actor)}
_PROXY_CALL: Final = "proxy_call"
_ALLOWED: Final = "allowed"


def split(lines: Sequence[LogLine]) -> list[list[LogLine]]:
    """Return the lines of a trace by call: a caller can make several in one.

    A run of the sync is one call with all that it asks for. So are the lines of a trace with no
    more than one proxied call; of several, each has the lines that name it or an ID that it names.
    """
    proxied = {line.own_id for line in lines if line.event == _PROXY_CALL}
    has_function_app = any(line.actor is Actor.FUNCTION_APP for line in lines)
    if len(proxied) == 1 or (has_function_app and not proxied):
        return [list(lines)]
    groups = _joined(lines)
    _place_by_time(groups)
    return groups


def _names(line: LogLine) -> Iterator[tuple[str, str]]:
    match line.actor:
        case Actor.FUNCTION_APP:
            yield "caller", line.own_id
            yield "gateway", line.text("aws_request_id")
        case Actor.GATEWAY:
            yield "gateway", line.own_id
            yield "authorizer", line.authorizer_id
        case Actor.AUTHORIZER:
            yield "authorizer", line.own_id
        case Actor.BACKEND:
            yield "gateway", line.own_id
            yield "caller", line.text("caller_request_id")
        case Actor.CALLER:
            return


def _joined(lines: Sequence[LogLine]) -> list[list[LogLine]]:
    """Return the lines in groups that no ID connects with each other."""
    # Each line, and each ID, points to another of its group, and the last to itself.
    leader: dict[object, object] = {}

    def find(member: object) -> object:
        while leader.setdefault(member, member) != member:
            leader[member] = leader[leader[member]]
            member = leader[member]
        return member

    for number, line in enumerate(lines):
        for name in _names(line):
            if name[1]:
                leader[find(name)] = find(number)
    groups: dict[object, list[LogLine]] = {}
    for number, line in enumerate(lines):
        groups.setdefault(find(number), []).append(line)
    return list(groups.values())


def _place_by_time(groups: list[list[LogLine]]) -> None:
    """Give what names no call to the only one that was under way then, if there is just one."""
    proxied = [group for group in groups if any(line.event == _PROXY_CALL for line in group)]
    named = [group for group in groups if any(name[1] for line in group for name in _names(line))]
    # In AWS only, a fetch of the key set is all that names no call.
    calls = proxied or named
    for group in [group for group in groups if group not in calls]:
        at = min(line.began for line in group)
        under_way = [call for call in calls if _began(call) <= at <= _ended(call)]
        if len(calls) == 1:
            under_way = calls
        if len(under_way) == 1:
            under_way[0].extend(group)
            groups.remove(group)


def _began(lines: Iterable[LogLine]) -> float:
    return min(line.began for line in lines)


def _ended(lines: Iterable[LogLine]) -> float:
    return max(max(line.written, line.began + (line.milliseconds or 0) / 1_000) for line in lines)


def assemble(lines: Sequence[LogLine], find_decision: FindDecision) -> TracedCall:
    """Return the call that these lines are about.

    Args:
        lines: at least one, all of one trace, in any order.
        find_decision: finds decisions that were made for earlier calls.

    """
    steps = sorted(_steps(lines, find_decision), key=lambda step: (step.at, _ORDER[step.actor]))
    proxied = [line for line in lines if line.event == _PROXY_CALL]
    requests = [line for line in lines if line.actor is Actor.GATEWAY]
    served = [line for line in lines if line.event == "request" and line.actor is Actor.BACKEND]
    ours = [line for line in lines if line.actor is Actor.FUNCTION_APP]
    # The outermost part's, and of a part that was asked twice the last one. A run has no answer.
    answered = (proxied or (requests or served if not ours else []))[-1:]
    status = _status(answered)
    if proxied or not ours:
        steps.insert(0, Step(Actor.CALLER, CALLED, min(step.at for step in steps), None, {}))
    return TracedCall(
        trace_id=lines[0].trace_id,
        request_ids=_request_ids(lines),
        began=min(step.at for step in steps),
        method=answered[0].text("method") if answered else "",
        path=(answered[0].text("route") or _first_text(requests, "route")) if answered else "",
        status=status,
        reason=_reason(ours if ours and not proxied else lines, steps, status),
        is_cached=_is_cached(steps),
        steps=tuple(steps),
    )


def _steps(lines: Sequence[LogLine], find_decision: FindDecision) -> Iterator[Step]:
    decided = {line.own_id for line in lines if line.event == "decision"}
    requests = {line.own_id: line for line in lines if line.actor is Actor.GATEWAY}
    asked = {line.authorizer_id: line for line in requests.values() if line.authorizer_id}
    for line in lines:
        began, milliseconds = line.began, line.milliseconds
        if line.actor is Actor.AUTHORIZER and line.own_id in asked:
            milliseconds = asked[line.own_id].authorizer_milliseconds
            began = line.written - (milliseconds or 0.0) / 1_000
            began = max(began, asked[line.own_id].written)
        elif line.actor is Actor.BACKEND and line.own_id in requests:
            # Each log rounds to milliseconds in its own way.
            began = max(began, requests[line.own_id].written)
        yield Step(line.actor, line.event, began, milliseconds, line.fields)
        decision_id = line.text("decision_id")
        if line.actor is Actor.GATEWAY and decision_id and decision_id not in decided:
            yield _reused(line, decision_id, find_decision(decision_id))


def _reused(gateway: LogLine, decision_id: str, decision: LogLine | None) -> Step:
    fields: dict[str, object] = {"decision_id": decision_id}
    if decision is not None:
        fields |= {
            name: decision.fields[name]
            for name in ("outcome", "reason", "what_to_change")
            if name in decision.fields
        }
        fields |= {"decided_in": decision.trace_id, "decided_at": decision.written}
    return Step(Actor.AUTHORIZER, DECISION_REUSED, gateway.written, None, fields)


def _request_ids(lines: Sequence[LogLine]) -> tuple[str, ...]:
    ordered = sorted(lines, key=lambda line: (_ORDER[line.actor], line.began))
    ids = [line.own_id for line in ordered]
    # The caller's, of a call whose part in Azure is not among these logs.
    ids += [line.text("caller_request_id") for line in ordered]
    return tuple(dict.fromkeys(filter(None, ids)))


def _status(answered: Sequence[LogLine]) -> int | None:
    status = answered[0].fields.get("status") if answered else None
    return status if isinstance(status, int) else None


def _reason(lines: Sequence[LogLine], steps: Sequence[Step], status: int | None) -> str | None:
    decisions = [step.fields for step in steps if step.actor is Actor.AUTHORIZER]
    reasons: list[str] = []
    # What a retry has mended is not why the call ended as it did.
    if status is None or status >= HTTPStatus.BAD_REQUEST:
        if any(line.actor is not Actor.FUNCTION_APP for line in lines):
            refused = [each for each in decisions if each.get("outcome") not in {None, _ALLOWED}]
            reasons += [str(each["reason"]) for each in refused if "reason" in each]
            reasons += [line.text("gateway_error").lower() for line in lines]
        reasons += [line.text("error_code") or line.text("code") for line in reversed(lines)]
    reasons += [_ALLOWED for each in decisions if each.get("outcome") == _ALLOWED]
    return next(filter(None, reasons), None)


def _is_cached(steps: Sequence[Step]) -> bool | None:
    events = [step.event for step in steps if step.actor is Actor.AUTHORIZER]
    if "decision" in events:
        return False
    return True if DECISION_REUSED in events else None


def _first_text(lines: Iterable[LogLine], name: str) -> str:
    return next(filter(None, (line.text(name) for line in lines)), "")
