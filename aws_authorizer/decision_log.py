"""Writes what was decided: one JSON line each, which CloudWatch also reads as metrics.

The lines follow CloudWatch's embedded metric format, so the metrics cost no call and no second
line. Nothing that a token says is written unless its signature has passed, and no token ever.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Final

from aws_authorizer.key_set import FetchResult
from shared.clock import Clock
from shared.principal import Principal
from shared.reasons import Reason

NAMESPACE: Final = "AzureAwsBridge/Authorizer"

# The fields are flat, so nothing in them can hold itself; looking for that takes a third more.
_to_json: Final = json.JSONEncoder(check_circular=False).encode

type Write = Callable[[str], object]
"""Takes one line, with its line feed."""


def _describe_metrics(
    dimensions: list[str], metrics: Mapping[str, str], fields: Mapping[str, object]
) -> str:
    """Return, as JSON members, what CloudWatch must know of the metrics, and the given fields."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [dimensions],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in metrics.items()],
    }
    return f'"CloudWatchMetrics": {json.dumps([directive])}}}, {json.dumps(fields)[1:-1]}'


# Encoded once for each kind of decision, not for every line: that takes longer than the rest of the
# line, and the handler has a promise to keep (docs/benchmarks.md).
@cache
def _describe_decision(outcome: str, reason: Reason, *, has_age: bool) -> str:
    fields: dict[str, object] = {
        "event": "decision",
        "outcome": outcome,
        "reason": reason,
        "Decisions": 1,
    }
    if reason.what_to_change:
        fields["what_to_change"] = reason.what_to_change
    metrics = {"Decisions": "Count"} | ({"KeySetAgeSeconds": "Seconds"} if has_age else {})
    return _describe_metrics(["outcome", "reason"], metrics, fields)


@cache
def _describe_fetch(result: str) -> str:
    return _describe_metrics(
        ["result"],
        {"KeySetFetches": "Count", "KeySetFetchSeconds": "Seconds"},
        {"event": "key_set_fetch", "result": result, "KeySetFetches": 1},
    )


def _describe_contradicted(key_ids: Collection[str]) -> dict[str, object]:
    if not key_ids:
        return {}
    return {
        "contradicted_key_ids": sorted(key_ids),
        "what_to_change": (
            "Nothing here: the issuer published several keys, or a private one, under these IDs."
        ),
    }


class DecisionLog:
    """Writes one line for each decision and for each fetch of a key set."""

    def __init__(
        self,
        write: Write,
        clock: Clock,
        get_key_set_age: Callable[[], float | None],
        get_trace_id: Callable[[], str] = str,
    ) -> None:
        """Take where the lines go, and how to ask for the key set's age and the call's trace."""
        self._write = write
        self._clock = clock
        self._get_key_set_age = get_key_set_age
        self._get_trace_id = get_trace_id

    def write_decision(
        self,
        outcome: str,
        reason: Reason,
        request_id: str,
        *,
        principal: Principal | None = None,
        detail: str = "",
    ) -> None:
        """Write a decision. `principal` is for callers whose token's signature has passed."""
        age = self._get_key_set_age()
        fields: dict[str, object] = {"trace_id": self._get_trace_id(), "request_id": request_id}
        if age is not None:
            fields["KeySetAgeSeconds"] = round(age)
        if principal is not None:
            fields |= principal.to_context()
        if detail:
            fields["detail"] = detail
        self._write_metrics(_describe_decision(outcome, reason, has_age=age is not None), fields)

    def write_fetch(self, result: FetchResult) -> None:
        """Write what came of one attempt to fetch a key set."""
        fields: dict[str, object] = {
            "trace_id": self._get_trace_id(),
            "KeySetFetchSeconds": round(result.seconds, 3),
        }
        fields |= _describe_contradicted(result.contradicted_key_ids)
        self._write_metrics(_describe_fetch(result.code), fields)

    def write_bundled_key_set(
        self, age_seconds: float, contradicted_key_ids: Collection[str], *, is_used: bool
    ) -> None:
        """Write how old the deployment bundle's key set is, and whether it is still used."""
        fields: dict[str, object] = {
            "time": int(self._clock.now() * 1_000),
            "event": "bundled_key_set",
            "age_seconds": round(age_seconds),
            "is_used": is_used,
        }
        fields |= _describe_contradicted(contradicted_key_ids)
        self._write(json.dumps(fields) + "\n")

    def _write_metrics(self, described: str, fields: Mapping[str, object]) -> None:
        timestamp = int(self._clock.now() * 1_000)
        members = _to_json(fields)[1:]
        # The same time for CloudWatch, and under the name that every other line has it.
        self._write(
            f'{{"time": {timestamp}, "_aws": {{"Timestamp": {timestamp}, {described}, {members}\n'
        )


def write_settings_problem(
    write: Write, problems: list[str], now: float, *, trace_id: str = "", request_id: str = ""
) -> None:
    """Write, in place of a decision, everything that is wrong with the settings."""
    fields = {
        "time": int(now * 1_000),
        "trace_id": trace_id,
        "request_id": request_id,
        "event": "settings_invalid",
        "reason": Reason.SETTINGS_INVALID.value,
        "what_to_change": Reason.SETTINGS_INVALID.what_to_change,
        "problems": problems,
    }
    write(json.dumps(fields) + "\n")
