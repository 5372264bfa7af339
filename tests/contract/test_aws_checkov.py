"""The SAM template under Checkov: what it finds is fixed, or stands here with a reason."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws_stacks import ALONE, FIRST_DAY, MUTUAL_TLS, PARAMETER_SETS, RELEASE, stack
from tests.support.checkov import CheckovReport, run_checkov

ACCEPTED = {
    "CKV_AWS_115": "a limit of the authorizer's own concurrency would refuse good tokens with 500",
    "CKV_AWS_116": "a dead-letter queue takes what was called asynchronously; API Gateway waits",
    "CKV_AWS_117": "the functions reach Entra ID and DynamoDB; a VPC would need a way out of it",
    "CKV_AWS_119": "DynamoDB encrypts with a key of AWS's own; one of the owner's costs per call",
    "CKV_AWS_120": "a cache of answers in front of the backend would serve old records",
    "CKV_AWS_158": "CloudWatch encrypts with a key of AWS's own; no line holds a token",
    "CKV_AWS_173": "no variable is a secret but UsagePlanKeys, which Lambda encrypts at rest",
}
"""Why each finding stays."""

FIRST_DAY_ONLY = {"CKV_AWS_73": "Tracing is off until it is asked for"}

EVERYTHING = FIRST_DAY | ALONE | MUTUAL_TLS | RELEASE
LEAST_RESOURCES = 20
"""Checkov knows fewer kinds of resources than there are; on fewer of ours it was not looking."""


def check(folder: Path, resources: dict[str, Any]) -> CheckovReport:
    """What Checkov says of a stack."""
    folder.mkdir(exist_ok=True)
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    (folder / "template.json").write_text(json.dumps(template))
    return run_checkov("cloudformation", folder)


@pytest.mark.parametrize(
    ("parameters", "accepted"),
    [(FIRST_DAY, ACCEPTED | FIRST_DAY_ONLY), (EVERYTHING, ACCEPTED)],
    ids=["first day", "everything"],
)
def test_when_checkov_reads_the_stack_then_it_finds_only_what_is_accepted(
    tmp_path: Path, parameters: dict[str, str], accepted: dict[str, str]
) -> None:
    """And everything that is accepted, so that no reason outlives its finding."""
    report = check(tmp_path, stack(parameters)["Resources"])

    assert accepted.keys() == report.failed_ids
    assert len(report.resources) >= LEAST_RESOURCES
    assert any("ApiGateway::Stage." in name for name in report.resources)


def test_when_the_stack_is_broken_then_checkov_finds_it(tmp_path: Path) -> None:
    """A table that cannot be restored, a stage that logs nothing, a role that may do everything."""
    resources = deepcopy(stack(PARAMETER_SETS["domain"])["Resources"])
    del resources["RecordsTable"]["Properties"]["PointInTimeRecoverySpecification"]
    (stage,) = [each for each in resources.values() if each["Type"] == "AWS::ApiGateway::Stage"]
    del stage["Properties"]["AccessLogSetting"]
    (policy, *_) = resources["RecordsRole"]["Properties"]["Policies"]
    policy["PolicyDocument"]["Statement"][0] |= {"Action": "*", "Resource": "*"}

    found = check(tmp_path, resources).failed_ids

    # Point-in-time recovery, access logs, and one of the checks for full rights.
    assert {"CKV_AWS_28", "CKV_AWS_76"} <= found
    assert found & {"CKV_AWS_107", "CKV_AWS_108", "CKV_AWS_109", "CKV_AWS_110", "CKV_AWS_111"}
