"""Bicep as it is written."""

import pytest

from emulator.azure.bicep_syntax.parser import parse_bicep
from emulator.azure.bicep_syntax.tree import (
    BicepError,
    Binary,
    Call,
    Conditional,
    Expression,
    Literal,
    Member,
    Name,
    ObjectLiteral,
    Unary,
)


def expression(text: str) -> Expression:
    """The tree of an expression."""
    return parse_bicep(f"var only = {text}\n", "main.bicep").variables["only"].value


def test_when_a_choice_follows_a_comparison_then_the_comparison_is_its_condition() -> None:
    """Other parsers take the choice for the comparison's second operand."""
    expected = Conditional(Binary(">", Name("a"), Literal(0)), Literal("x"), Literal("y"))

    assert expected == expression("a > 0 ? 'x' : 'y'")


def test_when_a_sign_stands_before_a_member_then_it_is_of_the_member() -> None:
    """`!a.b && c` is `(!(a.b)) && c`."""
    expected = Binary("&&", Unary("!", Member(Name("a"), "b", is_safe=False)), Name("c"))

    assert expected == expression("!a.b && c")


def test_when_nobody_doubts_a_value_then_the_mark_says_nothing() -> None:
    """`x!` tells the compiler that x is not null."""
    assert Member(Name("x"), "y", is_safe=False) == expression("x!.y")


def test_when_an_expression_goes_over_lines_then_it_is_one() -> None:
    """Inside brackets of any kind, and around the parts of a choice."""
    assert expression("f(a, b)") == expression("f(\n  a\n  ,\n  b\n)")
    assert expression("(a) ? b : c") == expression("(\n a\n) ?\n b\n :\n c")
    assert expression("{ a: 1, b: 2 }") == expression("{\n  a: 1 // one\n\n  b: 2\n}")
    assert Call("f", ()) == expression("f()")


def test_when_a_statement_is_read_then_comments_and_blank_lines_are_not() -> None:
    """All that a module can hold."""
    module = parse_bicep(
        "/* of\n several lines */\ntargetScope = 'resourceGroup'\r\nmetadata a = 'b'\n\n"
        "@description('It\\'s here.')\nparam p string? // comment\n"
        "var v = 1\n"
        "resource r 'A.B/c@2025-01-01' existing = {\n  name: 'n'\n}\n"
        "resource s 'A.B/c@2025-01-01' = if (v == 1) {\n}\n"
        "output o object = {}",
        "main.bicep",
    )

    assert Literal("It's here.") == module.parameters["p"].decorators["description"]
    assert module.parameters["p"].is_nullable
    assert ("A.B/c", "2025-01-01", True) == module.resources["r"][1:4]
    assert Binary("==", Name("v"), Literal(1)) == module.resources["s"].condition
    assert ObjectLiteral(()) == module.outputs["o"].value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("module m 'x.bicep' = {}\n", "line 1: 'module' is not read"),
        ("import * as a from 'x'\n", "'import' is not read"),
        ("extension graph\n", "'extension' is not read"),
        ("type t = string\n", "'type' is not read"),
        ("func f() string => 'a'\n", "'func' is not read"),
        ("parameter x string\n", "'parameter' begins no statement"),
        ("\n\nvar a = 1 2\n", "line 3: expected the end of the line"),
        ("var a = 'x\n", "not closed on its line"),
        ("var a = 'x", "not closed on its line"),
        ("var a = '${b\n'\n", "not closed"),
        ("var a = '${}'\n", "begins no expression"),
        ("var a = '${b c}'\n", "'c' is too much"),
        ("var a = '''x'''\n", "on several lines"),
        ("var a = '\\q'\n", "no escape"),
        ("var a = { b: 1 c: 2 }\n", "a comma or a new line"),
        ("var a = { b: 1, b: 2 }\n", "'b' stands there twice"),
        ("var a = [1\n", "begins no expression"),
        ("var a = [...b]\n", "begins no expression"),
        ("var a = !!b\n", "one sign after another"),
        ("var a = b.c()\n", "a resource's own functions"),
        ("var a = [for x in y: if (z) x]\n", "loops with a condition"),
        ("var a = #\n", "cannot read on at '#"),
        ("var a = 1.5\n", "cannot read on"),
        ("var a = 1\nvar a = 2\n", "'a' is declared twice"),
        ("var a = 1\nparam a string\n", "'a' is declared twice"),
        ("param a string[]\n", "expected the end of the line"),
        ("param a resourceInput\n", "the type 'resourceInput' is not read"),
        ("resource a 'A.B/c' = {}\n", "names no type with its version"),
        ("resource a 'A.B/c@1' = b\n", "'a' is no object"),
        ("resource a 'A.B/c@1' = {\n  resource b 'd' = {}\n}\n", "expected ':'"),
        ("targetScope = 'subscription'\n", "only resource groups"),
        ("@description('a')\n", "expected a name"),
    ],
)
def test_when_a_module_is_no_bicep_of_ours_then_it_is_refused(text: str, problem: str) -> None:
    """With the line, and never by reading it as something else."""
    with pytest.raises(BicepError, match=problem):
        parse_bicep(text, "main.bicep")


def test_when_a_file_is_long_then_reading_it_takes_time_by_its_length() -> None:
    """Twenty thousand members take far less than the time that a test has."""
    members = "\n".join(f"  m{at}: 'a${{b}}'" for at in range(20_000))

    module = parse_bicep(f"var a = {{\n{members}\n}}\nvar b = 1\n", "main.bicep")

    value = module.variables["a"].value
    assert isinstance(value, ObjectLiteral)
    assert 20_000 == len(value.members)
