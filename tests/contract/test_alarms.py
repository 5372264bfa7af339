"""Alarms and dashboard of the template: each looks at a metric that something really emits."""

import io
import json
import logging
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aws_authorizer import settings as authorizer_settings
from aws_authorizer.decision_log import DecisionLog, write_settings_problem
from aws_authorizer.key_set import FetchResult
from aws_backend import dynamodb_store
from emulator.aws.template import load_template
from shared.log import JsonLines, log_event
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock
from tests.support.sam_template import deployed, transform

TEMPLATE = load_template(Path(__file__).parents[2] / "infra" / "aws" / "template.yaml")
GUID = "11111111-1111-4111-8111-111111111111"
REQUIRED = {"EntraTenantId": GUID, "ApiClientId": GUID, "AllowedClientIds": GUID}
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alarms"

WITH_DASHBOARD = REQUIRED | {"Dashboard": "true"}

RESOURCES = deployed(transform(TEMPLATE, WITH_DASHBOARD), WITH_DASHBOARD)["Resources"]


def resources_of(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of a kind."""
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


ALARMS = resources_of("AWS::CloudWatch::Alarm")
FILTERS = resources_of("AWS::Logs::MetricFilter")

AWS_METRICS = {
    # "Amazon API Gateway dimensions and metrics", without detail by method
    ("AWS/ApiGateway", "Count"): {"ApiName", "Stage"},
    ("AWS/ApiGateway", "4XXError"): {"ApiName", "Stage"},
    ("AWS/ApiGateway", "5XXError"): {"ApiName", "Stage"},
    ("AWS/ApiGateway", "Latency"): {"ApiName", "Stage"},
    ("AWS/ApiGateway", "IntegrationLatency"): {"ApiName", "Stage"},
    # "Types of metrics for Lambda functions"
    ("AWS/Lambda", "Throttles"): {"FunctionName"},
    ("AWS/Lambda", "Duration"): {"FunctionName"},
    ("AWS/Lambda", "ConcurrentExecutions"): {"FunctionName"},
    # "DynamoDB metrics and dimensions"
    ("AWS/DynamoDB", "ConsumedReadCapacityUnits"): {"TableName"},
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): {"TableName"},
    ("AWS/DynamoDB", "ReadThrottleEvents"): {"TableName"},
    ("AWS/DynamoDB", "WriteThrottleEvents"): {"TableName"},
}
"""The metrics of AWS's own that are used, with the dimensions that AWS documents for them."""


def transformation(name: str) -> dict[str, Any]:
    """What a metric filter makes of the lines that it finds."""
    (only,) = FILTERS[name]["MetricTransformations"]
    return dict(only)


def own_metrics() -> dict[tuple[str, str], str]:
    """Each metric filter by the namespace and the name of its metric."""
    return {
        (
            json.dumps(transformation(name)["MetricNamespace"]),
            transformation(name)["MetricName"],
        ): name
        for name in FILTERS
    }


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {"=": operator.eq, ">=": operator.ge}


def finds(pattern: str, line: str) -> bool:
    """Whether a pattern for JSON finds the line (CloudWatch Logs, "Filter pattern syntax")."""
    found = re.fullmatch(r"\{ (.+) \}", pattern)
    assert found
    members = json.loads(line)
    joined = re.split(r" (\|\||&&) ", found[1])
    terms = [_holds(term, members) for term in joined[::2]]
    assert len(set(joined[1::2])) <= 1
    return any(terms) if "||" in joined else all(terms)


def _holds(term: str, members: Mapping[str, Any]) -> bool:
    parts = re.fullmatch(r'\(?\$\.(\w+) (=|>=) ("[^"]*"|[0-9.]+)\)?', term)
    assert parts, term
    name, comparison, expected = parts[1], parts[2], json.loads(parts[3])
    value = members.get(name)
    return isinstance(value, str if isinstance(expected, str) else int | float) and bool(
        _COMPARE[comparison](value, expected)
    )


def value_in(name: str, line: str) -> float:
    """The value that a metric filter takes out of a line."""
    value: str = transformation(name)["MetricValue"]
    return float(json.loads(line)[value.removeprefix("$.")] if value.startswith("$") else value)


# --- lines, by the code that writes them ---------------------------------------------------------


def authorizer_lines(write: Callable[[DecisionLog], None], age: float | None) -> list[str]:
    """The authorizer's own lines."""
    lines: list[str] = []
    write(DecisionLog(lines.append, FakeClock(), lambda: age))
    return lines


def backend_lines(write: Callable[[logging.Logger], None]) -> list[str]:
    """The backend's own lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("aws_backend.alarms")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    write(logger)
    logger.removeHandler(handler)
    return stream.getvalue().splitlines()


def access_line(**values: str) -> str:
    """A line of the access log; API Gateway writes a dash for what there is not."""
    (stage,) = resources_of("AWS::ApiGateway::Stage").values()
    form: str = stage["AccessLogSetting"]["Format"]
    given = {f"$context.{name.replace('__', '.')}": value for name, value in values.items()}
    given["$context.requestTimeEpoch"] = "1763700000000"
    return re.sub(r"\$[A-Za-z_.]+", lambda found: given.get(found[0], "-"), form)


UNDECIDED = authorizer_lines(
    lambda log: log.write_decision("undecided", Reason.INTERNAL_ERROR, "id"), None
)
ALLOWED = authorizer_lines(lambda log: log.write_decision("allowed", Reason.ALLOWED, "id"), 7200.0)
FETCH = authorizer_lines(lambda log: log.write_fetch(FetchResult("failed", 2.0)), 7200.0)
INVALID: list[str] = []
write_settings_problem(INVALID.append, ["ENTRA_TENANT_ID is missing"], 0.0)
SIZE = backend_lines(
    lambda logger: log_event(logger, logging.WARNING, "item_collection_size", gigabytes=9.0)
)
REQUEST = backend_lines(lambda logger: log_event(logger, logging.INFO, "request", status=200))


@pytest.mark.parametrize(
    ("name", "found", "passed_over", "value"),
    [
        ("UndecidedDecisions", [*UNDECIDED, *INVALID], [*ALLOWED, *FETCH], 1.0),
        ("Decisions", [*UNDECIDED, *ALLOWED], [*INVALID, *FETCH], 1.0),
        ("KeySetAge", ALLOWED, [*UNDECIDED, *INVALID, *FETCH], 7200.0),
        (
            "ThrottledRequests",
            [access_line(error__responseType="THROTTLED", status="429")],
            [access_line(status="200"), access_line(error__responseType="ACCESS_DENIED")],
            1.0,
        ),
        ("ItemCollectionSize", SIZE, REQUEST, 9.0),
    ],
)
def test_when_a_line_is_written_then_its_metric_filter_finds_it(
    name: str, found: Iterable[str], passed_over: Iterable[str], value: float
) -> None:
    """The line is what the code writes, so that neither can change without the other."""
    pattern = FILTERS[name]["FilterPattern"]

    assert [value] * len(list(found)) == [value_in(name, line) for line in found]
    assert all(finds(pattern, line) for line in found)
    assert not any(finds(pattern, line) for line in passed_over)


def test_when_there_is_a_metric_filter_then_the_test_above_has_its_lines() -> None:
    """And an alarm or the dashboard looks at its metric."""
    assert {
        "UndecidedDecisions",
        "Decisions",
        "KeySetAge",
        "ThrottledRequests",
        "ItemCollectionSize",
    } == set(FILTERS)
    watched = {(json.dumps(each["Namespace"]), each["MetricName"]) for each in ALARMS.values()}
    shown = {(json.dumps({"Fn::Sub": each[0]}), each[1]) for each in shown_metrics()}
    assert own_metrics().keys() <= watched | shown
    assert own_metrics().keys() - watched <= shown


def test_when_there_is_an_outcome_then_its_decisions_are_counted_for_this_stack() -> None:
    """The lines' own metrics know no stack: those of two stacks would be one sum."""
    (dimension,) = transformation("Decisions")["Dimensions"]
    outcomes = [json.loads(line)[dimension["Value"].removeprefix("$.")] for line in UNDECIDED]

    assert "outcome" == dimension["Key"]
    assert ["undecided"] == outcomes
    assert not transformation("UndecidedDecisions").get("Dimensions")
    assert {"Fn::Sub": "AzureAwsBridge/${AWS::StackName}"} == transformation("Decisions")[
        "MetricNamespace"
    ]


# --- the dashboard -------------------------------------------------------------------------------


def dashboard() -> list[dict[str, Any]]:
    """Every widget's properties, with what CloudFormation fills in left as it is."""
    text, _values = TEMPLATE["Resources"]["BridgeDashboard"]["Properties"]["DashboardBody"][
        "Fn::Sub"
    ]
    return [widget["properties"] for widget in json.loads(text)["widgets"]]


def shown_metrics() -> list[list[str]]:
    """Each metric that the dashboard shows: namespace, name, and dimensions with their values."""
    return [
        [part for part in metric if isinstance(part, str)]
        for widget in dashboard()
        for metric in widget.get("metrics", [])
    ]


def test_when_the_dashboard_shows_a_metric_then_something_emits_it() -> None:
    """Name, namespace and every dimension."""
    own = {
        ("AzureAwsBridge/${AWS::StackName}", transformation(name)["MetricName"]): {
            each["Key"] for each in transformation(name).get("Dimensions", [])
        }
        for name in FILTERS
    }
    emitted = own | AWS_METRICS

    assert len(shown_metrics()) >= 20
    for namespace, metric, *dimensions in shown_metrics():
        assert set(dimensions[::2]) == emitted[namespace, metric]


def test_when_there_is_an_alarm_then_the_dashboard_shows_it() -> None:
    """All of them, in its first row."""
    (shown,) = [widget["alarms"] for widget in dashboard() if "alarms" in widget]

    assert {f"${{{name}.Arn}}" for name in ALARMS} == set(shown)


def test_when_no_dashboard_is_asked_for_then_there_are_no_metrics_for_it() -> None:
    """Each costs its share every month."""
    plain = deployed(transform(TEMPLATE, REQUIRED), REQUIRED)["Resources"]

    assert {"BridgeDashboard", "Decisions"} == RESOURCES.keys() - plain.keys()


# --- the alarms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALARMS)
def test_when_an_alarm_looks_at_a_metric_then_something_emits_it(name: str) -> None:
    """Name, namespace and every dimension: a metric with others is another metric."""
    alarm = ALARMS[name]
    dimensions = {each["Name"] for each in alarm.get("Dimensions", [])}
    own = (json.dumps(alarm["Namespace"]), alarm["MetricName"])

    if own in own_metrics():
        assert dimensions == {
            each["Key"] for each in transformation(own_metrics()[own]).get("Dimensions", [])
        }
    else:
        assert dimensions == AWS_METRICS[alarm["Namespace"], alarm["MetricName"]]


def test_when_an_alarm_looks_at_the_api_then_it_is_by_its_name() -> None:
    """API Gateway files its metrics under the API's name and not its ID."""
    (api,) = resources_of("AWS::ApiGateway::RestApi").values()
    (stage,) = resources_of("AWS::ApiGateway::Stage").values()
    dimensions = {each["Name"]: each["Value"] for each in ALARMS["ServerErrorsAlarm"]["Dimensions"]}

    assert {"ApiName": api["Name"], "Stage": stage["StageName"]} == dimensions


@pytest.mark.parametrize("name", ALARMS)
def test_when_there_is_no_traffic_then_no_alarm_goes_off(name: str) -> None:
    """Nothing is emitted then, which is no fault."""
    assert "notBreaching" == ALARMS[name]["TreatMissingData"]
    assert ALARMS[name]["DatapointsToAlarm"] <= ALARMS[name]["EvaluationPeriods"]


@pytest.mark.parametrize("name", ALARMS)
def test_when_a_topic_is_given_then_alarms_go_there(name: str) -> None:
    """When they go off and when they end; without a topic, to nobody."""
    given = REQUIRED | {"AlarmTopicArn": TOPIC}
    told = deployed(transform(TEMPLATE, given), given)["Resources"][name]["Properties"]

    assert ([TOPIC], [TOPIC]) == (told["AlarmActions"], told["OKActions"])
    assert not {"AlarmActions", "OKActions"} & ALARMS[name].keys()


def test_when_an_alarm_goes_off_then_there_is_time_to_react() -> None:
    """The records' size is logged below where the alarm is, which is below where writes fail."""
    size = ALARMS["ItemCollectionSizeAlarm"]["Threshold"]
    age = float(ALARMS["KeySetAgeAlarm"]["Threshold"])
    max_age = float(authorizer_settings.KEY_SET_MAX_AGE_SECONDS.default or "")
    max_stale = float(authorizer_settings.KEY_SET_MAX_STALE_SECONDS.default or "")

    assert dynamodb_store.SIZE_LOGGED_FROM_GIGABYTES < size < 10
    assert 2 * max_age < age < 0.9 * max_stale
