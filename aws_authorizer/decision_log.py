"""Writes what was decided: one JSON line each, which CloudWatch also reads as metrics.

The lines follow CloudWatch's embedded metric format, so the metrics cost no call and no second
line. Nothing that a token says is written unless its signature has passed, and no token ever.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Final

from aws_authorizer.errors import WHAT_TO_CHANGE, Reason
from aws_authorizer.key_set import FetchResult
from shared.clock import Clock
from shared.principal import Principal

NAMESPACE: Final = "AzureAwsBridge/Authorizer"

# For strings this goes to the C function at once. `dumps` on a whole line would take as long as
# everything else that the handler does around the verification.
_quote: Final = json.JSONEncoder().encode

type Write = Callable[[str], object]
"""Takes one line, with its line feed."""


def _describe_metrics(dimensions: list[str], metrics: Mapping[str, str]) -> list[object]:
    return [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [dimensions],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in metrics.items()],
        }
    ]


_DECISION: Final = json.dumps(
    _describe_metrics(["outcome", "reason"], {"Decisions": "Count", "KeySetAgeSeconds": "Seconds"})
)
_DECISION_WITHOUT_KEYS: Final = json.dumps(
    _describe_metrics(["outcome", "reason"], {"Decisions": "Count"})
)
_FETCH: Final = _describe_metrics(
    ["result"], {"KeySetFetches": "Count", "KeySetFetchSeconds": "Seconds"}
)


@cache
def _describe_decision(outcome: str, reason: Reason, metrics: str) -> str:
    """The members that all decisions of one kind have in common: as many as there are reasons."""
    fields: dict[str, object] = {
        "event": "decision",
        "outcome": outcome,
        "reason": reason.value,
        "Decisions": 1,
    }
    if reason is not Reason.ALLOWED:
        fields["what_to_change"] = WHAT_TO_CHANGE[reason]
    return f'"CloudWatchMetrics": {metrics}}}, {json.dumps(fields)[1:-1]}'


def _describe_contradicted(key_ids: Collection[str]) -> dict[str, object]:
    if not key_ids:
        return {}
    return {
        "contradicted_key_ids": sorted(key_ids),
        "what_to_change": "Nothing here: the issuer published different keys under one ID.",
    }


class DecisionLog:
    """Writes one line for each decision and for each fetch of a key set."""

    def __init__(
        self, write: Write, clock: Clock, get_key_set_age: Callable[[], float | None]
    ) -> None:
        """Take where the lines go, and how to ask for the key set's age."""
        self._write = write
        self._now = clock.now
        self._get_key_set_age = get_key_set_age

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
        metrics = _DECISION_WITHOUT_KEYS if age is None else _DECISION
        members = [
            f'{{"_aws": {{"Timestamp": {int(self._now() * 1_000)}',
            _describe_decision(outcome, reason, metrics),
            f'"request_id": {_quote(request_id)}',
        ]
        if age is not None:
            members.append(f'"KeySetAgeSeconds": {round(age)}')
        if principal is not None:
            for name, value in principal.to_context().items():
                members.append(f'"{name}": {_quote(value)}')
        if detail:
            members.append(f'"detail": {_quote(detail)}')
        self._write(", ".join(members) + "}\n")

    def write_fetch(self, result: FetchResult) -> None:
        """Write what came of one attempt to fetch a key set."""
        fields: dict[str, object] = {
            "_aws": {"Timestamp": int(self._now() * 1_000), "CloudWatchMetrics": _FETCH},
            "event": "key_set_fetch",
            "result": result.code,
            "KeySetFetches": 1,
            "KeySetFetchSeconds": round(result.seconds, 3),
        }
        fields |= _describe_contradicted(result.contradicted_key_ids)
        self._write(json.dumps(fields) + "\n")

    def write_bundled_key_set(
        self, age_seconds: float, contradicted_key_ids: Collection[str], *, is_used: bool
    ) -> None:
        """Write how old the deployment bundle's key set is, and whether it is still used."""
        fields: dict[str, object] = {
            "event": "bundled_key_set",
            "age_seconds": round(age_seconds),
            "is_used": is_used,
        }
        fields |= _describe_contradicted(contradicted_key_ids)
        self._write(json.dumps(fields) + "\n")


def write_settings_problem(write: Write, problems: list[str]) -> None:
    """Write, in place of a decision, everything that is wrong with the settings."""
    fields = {
        "event": "settings_invalid",
        "reason": Reason.SETTINGS_INVALID.value,
        "what_to_change": WHAT_TO_CHANGE[Reason.SETTINGS_INVALID],
        "problems": problems,
    }
    write(json.dumps(fields) + "\n")
