"""What the pages on AWS say of the template and of the logs is so."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from aws_authorizer.decision_log import DecisionLog, write_settings_problem
from aws_authorizer.key_set import FetchResult
from aws_backend.dispatch import dispatch_event
from emulator.aws.template import load_template
from shared.log import JsonLines
from shared.principal import Principal
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock
from tests.support.proxy_event import proxy_event

ROOT = Path(__file__).parents[2]
TEMPLATE = load_template(ROOT / "infra" / "aws" / "template.yaml")
API: dict[str, Any] = TEMPLATE["Resources"]["Api"]["Properties"]
DEPLOYMENT = (ROOT / "docs" / "first-deployment.md").read_text("utf-8")
TROUBLE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
QUERIES = re.findall(r"```text\n(.*?)```", TROUBLE, re.DOTALL)

COMMANDS = {
    "fields",
    "filter",
    "sort",
    "limit",
    "stats",
    "and",
    "or",
    "by",
    "as",
    "asc",
    "desc",
    "count",
    "like",
}
"""What belongs to Logs Insights in the queries."""


def table_rows(page: str) -> list[list[str]]:
    """Every row of the page's tables, cell by cell."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]


def access_log_members() -> set[str]:
    """The names in a line of the access log."""
    form: str = API["AccessLogSetting"]["Format"]
    return set(json.loads(re.sub(r"\$[A-Za-z_.]+", "1", form)))


def authorizer_members() -> set[str]:
    """The names in the authorizer's lines."""
    lines: list[str] = []
    log = DecisionLog(lines.append, FakeClock(), lambda: 1.0)
    caller = Principal("object", "tenant", "client", frozenset(), "")
    log.write_decision("denied", Reason.MISSING_ROLE, "id", principal=caller, detail="detail")
    log.write_fetch(FetchResult("failed", 1.0, frozenset({"kid"})))
    log.write_bundled_key_set(1.0, (), is_used=True)
    write_settings_problem(lines.append, ["a problem"], 0.0)
    return {name for line in lines for name in json.loads(line)}


def backend_members(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The names in the backend's line of a request."""
    with caplog.at_level(logging.INFO, "aws_backend"):
        dispatch_event(proxy_event(), dict, FakeClock())
    return {name for record in caplog.records for name in json.loads(JsonLines().format(record))}


def test_when_the_template_has_a_parameter_then_the_page_has_it_with_its_default() -> None:
    """In the template's order, and none that it has not."""
    described = {
        name.strip("`"): default.strip("`")
        for name, default, _meaning in (row for row in table_rows(DEPLOYMENT) if len(row) == 3)
        if name.startswith("`")
    }
    declared = {
        name: "required" if "Default" not in each else str(each["Default"]) or "nothing"
        for name, each in TEMPLATE["Parameters"].items()
    }

    assert declared == described
    assert list(declared) == list(described)


def test_when_the_pages_name_an_output_then_the_template_has_it() -> None:
    """What is to be copied is there."""
    named = set(re.findall(r"`(\w+LogGroupName|DefaultUrl|AwsApiBaseUrl)`", DEPLOYMENT + TROUBLE))

    assert 5 == len(named)
    assert named <= TEMPLATE["Outputs"].keys()


def test_when_the_template_has_an_alarm_then_the_page_says_what_to_do() -> None:
    """Every alarm has a row, and no other has one."""
    alarms = {
        name
        for name, each in TEMPLATE["Resources"].items()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }
    rows = {name for row in table_rows(TROUBLE) for name in re.findall(r"`(\w+Alarm)`", row[0])}

    assert alarms == rows


def test_when_the_gateway_answers_itself_then_the_page_has_code_and_status() -> None:
    """One row for each code; what stands for many has no status of its own."""
    declared = set()
    for kind, response in API["GatewayResponses"].items():
        document = json.loads(response["ResponseTemplates"]["application/json"])
        status = str(response.get("StatusCode", kind.removeprefix("DEFAULT_").lower()))
        declared.add((document["code"], status))
    described = {
        (row[0].strip("`"), row[1])
        for row in table_rows(TROUBLE)
        if len(row) == 3 and re.fullmatch(r"[45](\d\d|xx)", row[1])
    }

    assert declared == described


@pytest.mark.parametrize("query", QUERIES)
def test_when_a_page_has_a_query_then_the_logs_have_what_it_asks_for(
    query: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each name in a query is one that a line has; a misspelled one would find nothing."""
    known = access_log_members() | authorizer_members() | backend_members(caplog)
    without_texts = re.sub(r'"[^"]*"', "", query)
    names = set(re.findall(r"(?<![@\w])[A-Za-z_]+", without_texts)) - COMMANDS
    aliases = set(re.findall(r" as (\w+)", query))

    assert set() == names - aliases - known


def test_when_the_commonest_refusal_is_looked_for_then_its_query_is_there() -> None:
    """By what was refused, and for whom; the access log alone has it."""
    (listed, counted) = [query for query in QUERIES if "ACCESS_DENIED" in query]

    for name in ("method", "route", "roles", "object_id", "client_id"):
        assert name in listed
        assert name in counted
        assert name in access_log_members()
