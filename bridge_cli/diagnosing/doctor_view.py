"""The doctor's report for a person: the verdict, then a line for each check."""

import json
from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge_cli.complaint import printable

_MARKS: Final = {
    "passed": "[green]✓[/]",
    "failed": "[bold red]✗[/]",
    "warned": "[yellow]![/]",
    "not_checked": "[dim]-[/]",
}
_PLACES: Final = {
    "function_app": "Function App",
    "aws_stack": "AWS stack",
    "entra": "Entra ID",
    "network": "network",
    "storage": "storage",
    "machine": "this machine",
    "aws_operations": "AWS",
}


def print_report(report: Mapping[str, object], console: Console) -> None:
    """Print the report's members as a sentence and a table."""
    console.print(escape(printable(verdict_sentence(report))), highlight=False, soft_wrap=True)
    if not console.is_terminal:
        for line in plain_lines(report):
            console.print(escape(line), highlight=False, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "check", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for check in _checks(report):
        mark = _MARKS.get(str(check.get("status")), "?")
        row = (_text(check, "check"), _found(check), _what_to_do(check))
        table.add_row(mark, *(escape(printable(cell)) for cell in row))
    console.print()
    console.print(table)


def plain_lines(report: Mapping[str, object]) -> list[str]:
    """Return a line a check, for a log or a pipe."""
    lines = []
    for check in _checks(report):
        what = _what_to_do(check)
        line = f"{_text(check, 'status')}: {_text(check, 'check')}: {_found(check)}"
        lines.append(printable(f"{line} -> {what}" if what else line).replace("\n", " "))
    return lines


def verdict_sentence(report: Mapping[str, object]) -> str:
    """Return the one sentence that says how things are."""
    checks = _checks(report)
    failed = [check for check in checks if check.get("status") == "failed"]
    if failed:
        return f"Something is wrong: {_text(failed[0], 'check')}: {_found(failed[0])}." + (
            f" ({len(failed) - 1} more)" if len(failed) > 1 else ""
        )
    unchecked = [_text(check, "check") for check in checks if check.get("status") == "not_checked"]
    if unchecked:
        return f"Nothing is wrong, but not checked: {', '.join(unchecked)}."
    warned = [_text(check, "check") for check in checks if check.get("status") == "warned"]
    seconds = report.get("seconds")
    return f"All is well ({len(checks)} checks in {seconds} s)" + (
        f"; look at {', '.join(warned)}." if warned else "."
    )


def to_json(report: Mapping[str, object]) -> str:
    """Return the report as one line of JSON."""
    return json.dumps(report)


def _checks(report: Mapping[str, object]) -> list[Mapping[str, object]]:
    checks = report.get("checks")
    return [each for each in checks if isinstance(each, dict)] if isinstance(checks, list) else []


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _found(check: Mapping[str, object]) -> str:
    cause = _text(check, "cause")
    return _text(check, "found") + (f" ({cause})" if cause else "")


def _what_to_do(check: Mapping[str, object]) -> str:
    fix = check.get("fix")
    if not isinstance(fix, dict):
        return ""
    lines = [_text(fix, "sentence")]
    setting, value, source = (_text(fix, name) for name in ("setting", "value", "value_from"))
    where = _PLACES.get(_text(fix, "where"), "")
    if setting and value:
        lines.append(f"{where}: {setting}={value}")
    elif setting:
        lines.append(f"{where}: {setting}" + (f", from {source}" if source else ""))
    elif source:
        lines.append(f"{where}: {source}")
    return "\n".join(lines)
