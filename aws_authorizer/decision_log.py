"""Writes what was decided: one JSON line each, which CloudWatch also reads as metrics.

The lines follow CloudWatch's embedded metric format, so the metrics cost no call and no second
line. Nothing that a token says is written unless its signature has passed, and no token ever.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

from aws_authorizer.errors import WHAT_TO_CHANGE, Reason
from shared.clock import Clock
from shared.principal import Principal

NAMESPACE: Final = "AzureAwsBridge/Authorizer"

type Write = Callable[[str], object]
"""Takes one line, with its line feed."""


def _describe_metrics(dimensions: list[str], metrics: Mapping[str, str]) -> str:
    return json.dumps(
        [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [dimensions],
                "Metrics": [{"Name": name, "Unit": unit} for name, unit in metrics.items()],
            }
        ]
    )


_DECISION: Final = _describe_metrics(
    ["outcome", "reason"], {"Decisions": "Count", "KeySetAgeSeconds": "Seconds"}
)
_DECISION_WITHOUT_KEYS: Final = _describe_metrics(["outcome", "reason"], {"Decisions": "Count"})
_FETCH: Final = _describe_metrics(
    ["result"], {"KeySetFetches": "Count", "KeySetFetchSeconds": "Seconds"}
)


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
        fields: dict[str, object] = {
            "event": "decision",
            "outcome": outcome,
            "reason": reason.value,
            "Decisions": 1,
            "request_id": request_id,
        }
        age = self._get_key_set_age()
        if age is not None:
            fields["KeySetAgeSeconds"] = round(age)
        if principal is not None:
            fields |= principal.to_context()
        if reason is not Reason.ALLOWED:
            fields["what_to_change"] = WHAT_TO_CHANGE[reason]
        if detail:
            fields["detail"] = detail
        self._write_line(_DECISION_WITHOUT_KEYS if age is None else _DECISION, fields)

    def write_fetch(self, result: str, seconds: float) -> None:
        """Write what came of one attempt to fetch a key set."""
        self._write_line(
            _FETCH,
            {
                "event": "key_set_fetch",
                "result": result,
                "KeySetFetches": 1,
                "KeySetFetchSeconds": round(seconds, 3),
            },
        )

    def _write_line(self, metrics: str, fields: Mapping[str, object]) -> None:
        milliseconds = int(self._now() * 1_000)
        members = json.dumps(fields)[1:-1]
        described = f'{{"Timestamp": {milliseconds}, "CloudWatchMetrics": {metrics}}}'
        self._write(f'{{"_aws": {described}, {members}}}\n')


def write_settings_problem(write: Write, problems: list[str]) -> None:
    """Write, in place of a decision, everything that is wrong with the settings."""
    fields = {
        "event": "settings_invalid",
        "reason": Reason.SETTINGS_INVALID.value,
        "what_to_change": WHAT_TO_CHANGE[Reason.SETTINGS_INVALID],
        "problems": problems,
    }
    write(json.dumps(fields) + "\n")
