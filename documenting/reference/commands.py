"""Every command and option, from the command line's own declarations."""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

import typer.main
from typer.core import TyperCommand, TyperGroup

from bridge_cli.main import app
from documenting.reference.tables import code, table, text

type Command = TyperCommand | TyperGroup


def commands() -> Iterator[tuple[str, Command]]:
    """Yield each command that can be given, with its whole name; groups before what they hold."""
    yield from _below(typer.main.get_command(app), ("bridge",))


def _below(command: object, name: Sequence[str]) -> Iterator[tuple[str, Command]]:
    if not isinstance(command, TyperCommand | TyperGroup) or command.hidden:
        return
    yield " ".join(name), command
    if isinstance(command, TyperGroup):
        for word, further in sorted(command.commands.items()):
            yield from _below(further, (*name, word))


def to_markdown() -> str:
    """Return the page's sections, one a command."""
    return "\n\n".join(_section(name, command) for name, command in commands())


def _section(name: str, command: Command) -> str:
    parts = [f"## `{name}`", _paragraphs(command.help or "")]
    if isinstance(command, TyperGroup) and command.commands:
        rows = [
            [f"[`{name} {word}`](#{_anchor(f'{name} {word}')})", text(_first(further.help or ""))]
            for word, further in sorted(command.commands.items())
        ]
        parts.append(table(("Command", "What it does"), rows))
    rows = [
        _row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)
    ]
    if rows:
        parts.append(table(("Option", "What it is", "Default", "Environment"), rows))
    return "\n\n".join(parts)


def _row(parameter: object) -> list[str]:
    name = "/".join([*getattr(parameter, "opts"), *getattr(parameter, "secondary_opts")])  # noqa: B009
    is_argument = not name.startswith("-")
    metavar = getattr(parameter, "metavar", None)
    shown = metavar if is_argument else name + (f" {metavar}" if metavar else "")
    help_text = getattr(parameter, "help", None) or ""
    variable = getattr(parameter, "envvar", None)
    return [
        code(str(shown)),
        text(help_text),
        _default(parameter),
        code(str(variable)) if variable else "",
    ]


def _default(parameter: object) -> str:
    if getattr(parameter, "required", False):
        return "required"
    default = getattr(parameter, "default", None)
    match default:
        case None | "" | False | () | []:
            return ""
        case Enum():
            return code(str(default.value))
        case Path():
            return code(default.as_posix())
        case _:
            return code(str(default))


def _first(help_text: str) -> str:
    return help_text.partition("\n\n")[0]


def _paragraphs(help_text: str) -> str:
    # What would be a tag or emphasis is meant as it stands.
    return re.sub(r"<([^<>]*)>", r"&lt;\1&gt;", help_text).replace("\f", "").strip()


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")
