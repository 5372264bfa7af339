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
    """Print the report's members: a sentence, a table, and what to set, on lines to copy from."""
    sentence = escape(printable(verdict_sentence(report)))
    console.print(sentence, highlight=False, soft_wrap=not console.is_terminal)
    if not console.is_terminal:
        for line in plain_lines(report):
            console.print(escape(line), highlight=False, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "check", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for check in _checks(report):
        mark = _MARKS.get(_text(check, "status"), "?")
        row = (_text(check, "check"), _found(check), _text(_fix(check), "sentence"))
        table.add_row(mark, *(escape(printable(cell)) for cell in row))
    console.print()
    console.print(table)
    places = [place for check in _checks(report) if (place := _place(check))]
    if places:
        console.print()
    for place in places:
        # Nothing breaks such a line: a broken value cannot be copied.
        console.print(f"  {escape(printable(place))}", highlight=False, soft_wrap=True)


def plain_lines(report: Mapping[str, object]) -> list[str]:
    """Return a line a check, for a log or a pipe."""
    lines = []
    for check in _checks(report):
        line = f"{_text(check, 'status')}: {_text(check, 'check')}: {_found(check)}"
        what = " ".join(filter(None, (_text(_fix(check), "sentence"), _place(check))))
        lines.append(printable(f"{line} -> {what}" if what else line).replace("\n", " "))
    return lines


def verdict_sentence(report: Mapping[str, object]) -> str:
    """Return the one sentence that says how things are, and what to change if they are not well."""
    checks = _checks(report)
    failed = [check for check in checks if check.get("status") == "failed"]
    if failed:
        first = failed[0]
        more = f" Then look at {_names(failed[1:])}." if failed[1:] else ""
        return (
            f"Something is wrong: {_text(first, 'check')}: {_found(first)}."
            f" {_text(_fix(first), 'sentence')}{more}"
        )
    unchecked = [check for check in checks if check.get("status") == "not_checked"]
    if unchecked:
        return f"Nothing is wrong, and not checked: {_names(unchecked)}."
    warned = [check for check in checks if check.get("status") == "warned"]
    return f"All is well: {len(checks)} checks in {report.get('seconds')} s" + (
        f"; look at {_names(warned)}." if warned else "."
    )


def _names(checks: list[Mapping[str, object]]) -> str:
    return ", ".join(_text(check, "check") for check in checks)


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
    return (f"{cause}: " if cause else "") + _text(check, "found")


def _fix(check: Mapping[str, object]) -> Mapping[str, object]:
    fix = check.get("fix")
    return fix if isinstance(fix, dict) else {}


def _place(check: Mapping[str, object]) -> str:
    """Return where something is set, and to what, or where that is read."""
    fix = _fix(check)
    setting, value, source = (_text(fix, name) for name in ("setting", "value", "value_from"))
    where = _PLACES.get(_text(fix, "where"), "")
    if value:
        return f"{where}: {setting}={value}"
    told = " from ".join(filter(None, (setting, source)))
    return f"{where}: {told}" if told else ""
