"""The plan as `az` lines for a shell, for tenants that want to read what is run."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deployment.entra.changes import API_CLIENT_ID, API_PRINCIPAL_ID, Changes, Lookup, fill_in

_VARIABLES: Final = (API_CLIENT_ID, API_PRINCIPAL_ID)


@dataclass(frozen=True, slots=True)
class AzLine:
    """One `az` line."""

    purpose: str
    arguments: tuple[str, ...]
    """With `az` at the front; may hold shell variables."""
    variable: str = ""
    """The shell variable that gets what the line prints, with its dollar; empty for none."""
    file: str = ""
    """The file that the line reads, beside the arguments that name it."""
    body: Mapping[str, Any] | None = None
    """What is in that file."""
    expands: bool = False
    """Whether the shell puts variables' values into the file."""


def to_az_lines(changes: Changes, graph_url: str) -> tuple[AzLine, ...]:
    """Return a line for each step of the plan, in the same order."""
    known = changes.known or {}
    lines = []
    for number, step in enumerate(changes.steps, start=1):
        url = f"{graph_url}/v1.0{fill_in(step.path, known)}"
        if isinstance(step, Lookup):
            arguments = ("az", "rest", "--method", "get", "--url", url)
            printed = ("--query", step.field, "--output", "tsv")
            lines.append(AzLine(step.purpose, (*arguments, *printed), variable=step.variable))
            continue
        file = f"entra-{number}.json"
        headers = ["Content-Type=application/json"]
        if step.creates:
            headers.append("Prefer=create-if-missing")
        arguments = ("az", "rest", "--method", step.method.lower(), "--url", url)
        named = ("--headers", *headers, "--body", f"@{file}", "--output", "none")
        body = step.filled_body(known)
        # Assignments hold nothing but IDs. Other bodies can hold text from the directory, which no
        # shell must read.
        expands = step.method == "POST"
        lines.append(
            AzLine(step.purpose, (*arguments, *named), file=file, body=body, expands=expands)
        )
    return tuple(lines)


def to_shell(lines: Sequence[AzLine]) -> str:
    """Return the lines as a script for a POSIX shell, with the files that they read."""
    return "\n".join(_script(lines))


def _script(lines: Sequence[AzLine]) -> Iterator[str]:
    yield "set -eu"
    yield "# What was just made is not found for some minutes: repeat a line that says so."
    yield "# An assignment that is there already is refused as existing: go on with the next line."
    for line in lines:
        yield f"\n# {line.purpose}"
        if line.body is not None:
            text = json.dumps(line.body, indent=2)
            end = "JSON" if line.expands else "'JSON'"
            yield f"cat > {line.file} <<{end}\n{text}\nJSON"
        command = " ".join(_quote(argument) for argument in line.arguments)
        yield f"{line.variable[1:]}=$({command})" if line.variable else command


def _quote(argument: str) -> str:
    # An address of ours has quotes within, and variables that the shell fills in.
    if "'" in argument or any(name in argument for name in _VARIABLES):
        return f'"{argument}"'
    return shlex.quote(argument)
