"""The metrics, alarms and log events, as the code writes them and the template deploys them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aws_authorizer.decision_log import NAMESPACE, DecisionLog
from aws_authorizer.key_set import FetchResult
from documenting.reference.log_events import log_events
from documenting.reference.tables import code, table, text
from emulator.aws.template import load_template
from shared.clock import SystemClock
from shared.reasons import Reason

_TEMPLATE: Final = "infra/aws/template.yaml"
_OPERATORS: Final = {
    "GreaterThanOrEqualToThreshold": "≥",
    "GreaterThanThreshold": "&gt;",
    "LessThanThreshold": "&lt;",
    "LessThanOrEqualToThreshold": "≤",
}


def to_markdown(checkout: Path) -> str:
    """Return the page."""
    resources: Mapping[str, Any] = load_template(checkout / _TEMPLATE)["Resources"]
    events = [
        [
            code(each.package),
            code(each.event),
            ", ".join(each.levels),
            ", ".join(map(code, each.fields)),
        ]
        for each in log_events(checkout)
    ]
    sections = [
        "## Metrics in the authorizer's log lines",
        f"Namespace `{NAMESPACE}`, by CloudWatch's embedded metric format: they cost no call.",
        table(("Event", "Metric", "Unit", "Dimensions"), _embedded()),
        "## Metrics that the template takes out of the logs",
        "Each stack has its own namespace.",
        table(("Metric", "Namespace", "Log group", "Lines", "Value", "Unit"), _filters(resources)),
        "## Alarms",
        (
            "What to do about each: [troubleshooting](../troubleshooting.md#alarms). They notify"
            " `AlarmTopicArn`, if it is set."
        ),
        table(("Alarm", "Means", "Metric", "Fires at"), _alarms(resources)),
        "## Log events",
        (
            "Every line is one JSON object with `event`. The fields named here are those of the"
            " call that writes the line; an object that is logged as a whole adds its own."
        ),
        table(("Package", "Event", "Level", "Fields"), events),
    ]
    return "\n\n".join(sections)


def _embedded() -> Iterator[list[str]]:
    lines: list[str] = []
    log = DecisionLog(lines.append, SystemClock(), lambda: 1.0)
    log.write_decision("allowed", Reason.ALLOWED, "id")
    log.write_fetch(FetchResult("ok", 0.1, frozenset()))
    for line in map(json.loads, lines):
        for directive in line["_aws"]["CloudWatchMetrics"]:
            dimensions = ", ".join(map(code, directive["Dimensions"][0]))
            for metric in directive["Metrics"]:
                yield [code(line["event"]), code(metric["Name"]), metric["Unit"], dimensions]


def _filters(resources: Mapping[str, Any]) -> Iterator[list[str]]:
    for properties in _of_type(resources, "AWS::Logs::MetricFilter").values():
        for metric in properties["MetricTransformations"]:
            yield [
                code(metric["MetricName"]),
                code(_plain(metric["MetricNamespace"])),
                code(_plain(properties["LogGroupName"])),
                code(properties["FilterPattern"].replace("|", "\\|")),
                code(metric["MetricValue"]),
                metric["Unit"],
            ]


def _alarms(resources: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, alarm in _of_type(resources, "AWS::CloudWatch::Alarm").items():
        minutes = alarm["Period"] // 60
        yield [
            code(name),
            text(alarm["AlarmDescription"]),
            f"{code(_plain(alarm['Namespace']))} {code(alarm['MetricName'])}",
            (
                f"{alarm['Statistic'].lower()} {_OPERATORS[alarm['ComparisonOperator']]}"
                f" {_plain(alarm['Threshold'])} in {alarm['DatapointsToAlarm']} of"
                f" {alarm['EvaluationPeriods']} periods of {minutes} min"
            ),
        ]


def _of_type(resources: Mapping[str, Any], kind: str) -> dict[str, Mapping[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == kind
    }


def _plain(value: object) -> str:
    match value:
        case {"Ref": str(name)}:
            return name
        case {"Fn::Sub": str(pattern)}:
            return pattern.replace("${AWS::StackName}", "<stack>")
        case _:
            return str(value)
