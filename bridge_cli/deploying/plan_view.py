"""A plan, for people."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deployment.bridge_file import Environment
from deployment.lines.line import Line
from deployment.parameters.template_parameters import TemplateParameter


def print_plan(
    environment: Environment,
    steps: list[dict[str, Any]],
    declared: Mapping[str, TemplateParameter],
    console: Console,
) -> None:
    """Print each step: who takes it with which rights, what it runs, changes and leaves.

    Parameters at the template's own default are counted, and stand in full in the JSON.
    """
    console.print(
        f"[bold]{environment.bridge_name}-{environment.name}[/]: what"
        f" `bridge deploy --env {environment.name}` does, in order. Values in"
        " <angle brackets> are known only when the step before has been taken.\n"
    )
    for number, step in enumerate(steps, start=1):
        title = Text.assemble((f"{number}. {step['id']}", "bold"), f"  {step['title']}")
        console.print(title)
        console.print(Padding(_facts(step), (0, 0, 0, 3)))
        for file in step["files"]:
            console.print(Text(f"   writes {file['path']}", style="dim"))
            given = _parameters(json.loads(file["content"]), declared)
            console.print(Padding(given, (0, 0, 0, 5)))
        for command in step["commands"]:
            line = Line(tuple(command["argv"]), command["environment"])
            mark = "=" if command["is_equivalent"] else "$"
            # On one line, so that it can be copied.
            console.print(Text(f"   {mark} {line}", style="cyan"), soft_wrap=True)
        console.print()
    console.print(
        "$ is run as it stands; = does by hand what we do by the same calls.", style="dim"
    )


def _facts(step: dict[str, Any]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in (
        ("who", step["who"]),
        ("rights", step["rights"]),
        ("after", ", ".join(step["after"])),
        ("changes", step["changes"]),
        ("leaves", step["leaves"]),
        ("learns", ", ".join(step["gives"])),
    ):
        if text:
            table.add_row(name, Text(text))
    return table


def _parameters(
    content: Mapping[str, Any], declared: Mapping[str, TemplateParameter]
) -> RenderableType:
    is_bicep = "parameters" in content
    given = (
        {name: item["value"] for name, item in content["parameters"].items()}
        if is_bicep
        else content
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    left_out = 0
    for name, value in given.items():
        parameter = None if is_bicep else declared.get(name)
        if parameter is not None and parameter.default == value:
            left_out += 1
            continue
        shown = value if isinstance(value, str) else json.dumps(value)
        table.add_row(name, Text(shown or '""'))
    if left_out:
        table.add_row(Text(f"and {left_out} more at the template's default", style="dim"), "")
    return table
