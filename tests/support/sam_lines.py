"""Run by SAM's own Python: says of each `sam` line whether SAM's click commands parse it.

Reads a JSON list of argument lists, without the leading `sam`, from standard input; writes a JSON
list with null for a line that parses, and the complaint for one that does not. Nothing is run.
"""

import json
import sys

import click
from samcli.cli.main import cli  # type: ignore[import-not-found]


def _complaint(arguments: list[str]) -> str | None:
    try:
        context: click.Context = cli.make_context("sam", list(arguments))
        while isinstance(context.command, click.Group):
            # What click itself does between a group and its command.
            rest = [*context.protected_args, *context.args]
            name, command, rest = context.command.resolve_command(context, rest)
            assert name is not None
            assert command is not None
            context = command.make_context(name, rest, parent=context)
    except click.ClickException as error:
        return error.format_message()
    except click.exceptions.Exit:
        return "it would print its help or version and end"
    return None


if __name__ == "__main__":
    lines: list[list[str]] = json.load(sys.stdin)
    answers = [_complaint(line) for line in lines]
    json.dump(answers, sys.stdout)
