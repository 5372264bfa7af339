"""What Parliament and Policy Sentry, which carry AWS's lists of actions, say of IAM policies."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PYTHON = Path(__file__).parents[2] / ".tools" / "policy-checks" / "bin" / "python"
ACCOUNT = "arn:aws:{service}:eu-west-1:123456789012:{name}"

# Both need a Python of their own. Parliament's own program needs a terminal, its library does not.
_PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
import parliament
from policy_sentry.querying.actions import get_action_data

def exists(action):
    service, _, name = action.partition(":")
    return "*" not in name and bool(get_action_data(service, name))

said = {}
for name, policy in json.load(sys.stdin).items():
    actions = []
    for statement in policy["Statement"]:
        action = statement["Action"]
        actions += [action] if isinstance(action, str) else action
    analyzed = parliament.analyze_policy_string(json.dumps(policy))
    said[name] = {
        "findings": [str(finding.issue) for finding in analyzed.findings],
        "unknown": [action for action in actions if not exists(action)],
        "actions": len(actions),
    }
json.dump(said, sys.stdout)
"""


class Judgement(NamedTuple):
    """What is wrong with one policy."""

    findings: list[str]
    """What Parliament calls the problems."""
    unknown: list[str]
    """What is no action of AWS's, as Policy Sentry knows them; a pattern of actions is none."""
    actions: int
    """How many actions were looked at."""


def judge_policies(policies: Mapping[str, Mapping[str, Any]]) -> dict[str, Judgement]:
    """Return what is wrong with each policy, by its name."""
    finished = subprocess.run(
        [PYTHON, "-c", _PROGRAM],
        input=json.dumps(policies),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return {name: Judgement(**said) for name, said in json.loads(finished.stdout).items()}


def function_policies(resources: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy of the stack's roles, its resources named by ARNs that could be theirs."""
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                yield f"{name}.{policy['PolicyName']}", _concrete(policy["PolicyDocument"])


def _concrete(value: Any) -> Any:
    if isinstance(value, list):
        return [_concrete(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Fn::GetAtt": [str(name), "Arn"]}:
            return _arn_of(name)
        case {"Fn::Sub": str(text)}:
            return (
                text.replace("${RecordsTable.Arn}", _arn_of("RecordsTable"))
                .replace("${AWS::Partition}", "aws")
                .replace("${AWS::Region}", "eu-west-1")
                .replace("${AWS::AccountId}", "123456789012")
            )
        case _:
            return {key: _concrete(inside) for key, inside in value.items()}


def _arn_of(name: str) -> str:
    if name.endswith("Table"):
        return ACCOUNT.format(service="dynamodb", name=f"table/{name}")
    assert name.endswith("LogGroup"), name
    return ACCOUNT.format(service="logs", name=f"log-group:{name}:*")
