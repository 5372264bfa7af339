"""The registration's plan for people and for programs."""

import json
from typing import Any

from deployment.entra.az_lines import AzLine
from deployment.entra.changes import Changes
from deployment.entra.registration import WantedRegistration, authorizer_settings


def plan_to_text(wanted: WantedRegistration, changes: Changes, *, is_applied: bool) -> str:
    """Return each difference as field, what it is and what it will be, and what is left alone."""
    lines = []
    if changes.is_empty:
        lines.append(f"{wanted.name} is as it should be.")
    else:
        title = "was changed" if is_applied else "differs; --apply changes it"
        lines.append(f"{wanted.name} {title}:")
    for difference in changes.differences:
        found, will_be = _show(difference.found), _show(difference.wanted)
        lines.append(f"  {difference.where}: {difference.field}: {found} -> {will_be}")
    lines += [f"Note: {notice}" for notice in changes.notices]
    return "\n".join(lines)


def result_to_text(wanted: WantedRegistration, api_client_id: str) -> str:
    """Return what both clouds must be told of the registration."""
    rows = {
        "API_CLIENT_ID": api_client_id or "(Entra ID makes it)",
        "API_APP_ID_URI": wanted.app_id_uri,
        **{name: value for name, value in authorizer_settings(wanted).items() if value},
    }
    return "\n".join(f"{name}={value}" for name, value in rows.items())


def to_json(
    wanted: WantedRegistration,
    changes: Changes,
    az_lines: tuple[AzLine, ...] | None,
    *,
    api_client_id: str,
    is_applied: bool,
) -> str:
    """Return all of it as one JSON object."""
    answer: dict[str, Any] = {
        "registration": wanted.name,
        "app_id_uri": wanted.app_id_uri,
        "api_client_id": api_client_id or None,
        "is_applied": is_applied,
        "differences": [
            {
                "where": difference.where,
                "field": difference.field,
                "is": difference.found,
                "will_be": difference.wanted,
            }
            for difference in changes.differences
        ],
        "notices": list(changes.notices),
        "authorizer_settings": authorizer_settings(wanted),
    }
    if az_lines is not None:
        answer["az_lines"] = [
            {
                "purpose": line.purpose,
                "arguments": list(line.arguments),
                "variable": line.variable or None,
                "file": line.file or None,
                "body": line.body,
            }
            for line in az_lines
        ]
    return json.dumps(answer, indent=2)


def error_to_json(code: str, message: str) -> str:
    """Return a failure as one JSON object."""
    return json.dumps({"error": {"code": code, "message": message}}, indent=2)


def _show(value: object) -> str:
    return "(nothing)" if value in (None, [], {}) else json.dumps(value)
