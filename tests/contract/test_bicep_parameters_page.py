"""docs/azure-parameters.md lists every parameter and output of the Bicep modules as they are."""

import re
from pathlib import Path

import pytest

from emulator.azure.bicep_syntax.parser import parse_bicep
from emulator.azure.bicep_syntax.tree import ArrayLiteral, Expression, Literal
from tests.support.bicep import MODULES

PAGE = (Path(__file__).parents[2] / "docs" / "azure-parameters.md").read_text("utf-8")
# The text of a default stands on the line of its parameter.
DECLARATION = re.compile(r"^param (?P<name>\w+) \w+\??(?: = (?P<default>.+))?$", re.MULTILINE)


def literal(expression: Expression) -> str:
    """A decorator's argument as a reader knows it."""
    if isinstance(expression, ArrayLiteral):
        return ", ".join(literal(each) for each in expression.items)
    assert isinstance(expression, Literal)
    return f"`{expression.value}`" if expression.value != "" else "nothing"


def bounds(decorators: dict[str, Expression]) -> str:
    """What a value must be."""
    said = {name: literal(argument) for name, argument in decorators.items()}
    if "secure" in said:
        return "a Key Vault reference"
    if "allowed" in said:
        return said["allowed"]
    of = "Length" if {"minLength", "maxLength"} & said.keys() else "Value"
    ends = [
        f"{word} {said[side + of]}"
        for word, side in (("from", "min"), ("to", "max"))
        if side + of in said
    ]
    return " ".join([*ends, *(["characters"] if ends and of == "Length" else [])])


def parameters_table(module: str) -> str:
    """The parameters of a module, as the page has them."""
    text = MODULES[module].read_text("utf-8")
    defaults = {found["name"]: found["default"] for found in DECLARATION.finditer(text)}
    lines = ["| Parameter | Type | Default | Values | Meaning |", "|---|---|---|---|---|"]
    for name, parameter in parse_bicep(text, module).parameters.items():
        default = defaults[name]
        shown = f"`{default}`" if default else "none" if parameter.is_nullable else "**required**"
        shown = "nothing" if default == "''" else shown
        meaning = parameter.decorators["description"]
        assert isinstance(meaning, Literal)
        lines.append(
            f"| `{name}` | {parameter.type} | {shown} | {bounds(parameter.decorators)}"
            f" | {meaning.value} |"
        )
    return "\n".join(lines).replace("|  |", "| |")


def outputs_table(module: str) -> str:
    """The outputs of a module, as the page has them."""
    outputs = parse_bicep(MODULES[module].read_text("utf-8"), module).outputs
    lines = ["| Output | Meaning |", "|---|---|"]
    for name, output in outputs.items():
        meaning = output.decorators["description"]
        assert isinstance(meaning, Literal)
        lines.append(f"| `{name}` | {meaning.value} |")
    return "\n".join(lines)


@pytest.mark.parametrize("module", MODULES)
def test_when_a_parameter_changes_then_the_page_says_so(module: str) -> None:
    """The page holds the tables that the modules make."""
    section = PAGE.partition(f"## {module}.bicep\n")[2].partition("\n## ")[0]

    assert parameters_table(module) in section
    assert outputs_table(module) in section


def test_when_the_page_lists_parameters_then_it_lists_them_all() -> None:
    """None is left from before, none stands under another module."""
    listed = re.findall(r"^\| `(\w+)` \| (?:string|int|bool|array|object) \|", PAGE, re.MULTILINE)
    declared = [
        name
        for path in (MODULES[module] for module in ("foundation", "app", "github"))
        for name in parse_bicep(path.read_text("utf-8"), path.name).parameters
    ]

    assert 60 <= len(declared)
    assert declared == listed
