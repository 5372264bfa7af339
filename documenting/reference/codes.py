"""Every stable code that a person can meet, from where the code says it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from azure_function_app.fan_out.plan import SHARDS_NOT_RUNNING
from azure_function_app.health_report import NOT_ANSWERING
from azure_function_app.sync.checkpoint_store import SyncStatus
from azure_function_app.sync.runs.sync_run import DELETIONS_HELD
from deployment.smoke.outcome import SmokeCode
from documenting.reference.causes import found_causes
from documenting.reference.code_scan import scan
from emulator.aws.template import load_template
from shared.reasons import Reason

_TEMPLATE: Final = "infra/aws/template.yaml"


@dataclass(frozen=True, slots=True)
class CodeGroup:
    """The codes that one part says."""

    title: str
    intro: str
    sources: Mapping[str, tuple[str, ...]]
    """Where each code is said, by code."""


def code_groups(checkout: Path) -> tuple[CodeGroup, ...]:
    """Return every code, by the part that says it."""
    groups = [
        CodeGroup(
            "The authorizer's reasons",
            "In the member `reason` of each `decision` in the authorizer's log, never in an answer."
            " The Function App's log has the same words for its own token.",
            _members(Reason),
        ),
        CodeGroup(
            "The key set",
            "What came of a fetch: `result` of `key_set_fetch` in the authorizer's log, and"
            " `detail` of a decision with `key_set_unavailable`.",
            _scanned(checkout, "aws_authorizer"),
        ),
        CodeGroup(
            "API Gateway",
            "In `code` of the problem document that API Gateway answers with.",
            dict.fromkeys(gateway_codes(checkout), (_TEMPLATE,)),
        ),
        CodeGroup(
            "The records API",
            "In `code` of a problem document, and as what a command about the table says.",
            _scanned(checkout, "aws_backend"),
        ),
        CodeGroup(
            "The Function App",
            "In `code` of a problem document, `error_code` of health and of a run of the sync, and"
            " `code` of a log line.",
            _scanned(checkout, "azure_function_app", without=("azure_function_app.doctor",))
            | _members(SyncStatus)
            | {
                NOT_ANSWERING: ("azure_function_app.health_report",),
                DELETIONS_HELD: ("azure_function_app.sync.runs.sync_run",),
                SHARDS_NOT_RUNNING: ("azure_function_app.fan_out.plan",),
            },
        ),
        CodeGroup(
            "`bridge smoke`",
            "Its own; a check that fails on an answer of the bridge has that answer's code.",
            _members(SmokeCode) | _scanned(checkout, "deployment.smoke"),
        ),
        CodeGroup(
            "`bridge deploy` and `bridge entra`",
            "In parentheses behind the sentence, and in `code` with `--json`.",
            _scanned(checkout, "deployment", "bridge_cli.deploying", without=("deployment.smoke",)),
        ),
        CodeGroup(
            "The other commands and the local stack",
            "The same.",
            _scanned(
                checkout,
                "bridge_cli",
                "emulator",
                "bundling",
                "shared",
                # What the emulated Entra ID and Graph say is Microsoft's.
                without=("bridge_cli.deploying", "emulator.entra"),
            ),
        ),
        CodeGroup(
            "Releases",
            "What `make version`, `make release` and the like end with.",
            _scanned(checkout, "releasing"),
        ),
    ]
    if causes := found_causes():
        source = dict.fromkeys(causes, ("azure_function_app.doctor",))
        groups.append(CodeGroup("`bridge doctor`", "In `cause` of each check that failed.", source))
    return tuple(groups)


def gateway_codes(checkout: Path) -> Mapping[str, int]:
    """Return the codes of API Gateway's own answers, each with its status as deployed."""
    resources: Mapping[str, Any] = load_template(checkout / _TEMPLATE)["Resources"]
    found: dict[str, int] = {}
    for resource in resources.values():
        responses = resource.get("Properties", {}).get("GatewayResponses", {})
        for response in responses.values():
            body = response["ResponseTemplates"]["application/json"]
            document = json.loads(re.sub(r"\$[\w.]+", "0", body))
            found.setdefault(document["code"], int(response.get("StatusCode", 0)))
    return found


def _members(codes: type[StrEnum]) -> dict[str, tuple[str, ...]]:
    return {member.value: (f"{codes.__module__}",) for member in codes}


def _scanned(
    checkout: Path, *packages: str, without: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    return _by_code(
        (found.code, found.module)
        for found in scan(checkout, *packages)
        if not found.module.startswith(without)
    )


def _by_code(found: Iterator[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    modules: dict[str, dict[str, None]] = {}
    for code, module in found:
        modules.setdefault(code, {})[module] = None
    return {code: tuple(modules[code]) for code in sorted(modules)}
