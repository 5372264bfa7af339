"""Each `az`, `aws` and `sam` line of a page is one that the tool itself would take."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.aws_lines import complaint_of_aws
from tests.support.azure_cli import complaints_of_azure_cli
from tests.support.sam_cli import complaints_of_sam

CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
TOOLS = ("az", "aws", "sam")


IS_INCOMPLETE = re.compile(r"are required|is missing|Missing option|has no \[\]")
"""What is said of a line that lacks something; running text may name a command without options."""


class Line(NamedTuple):
    """A line of one of the tools."""

    words: list[str]
    is_whole: bool
    """Whether it is there to be copied."""


def lines_of(text: str) -> Iterator[Line]:
    """Every line of the tools in the page's blocks and in its running text, word by word."""
    blocks = re.findall(r"```(?:console|bash)\n(.*?)```", text, re.DOTALL)
    whole = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    running = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    named = re.findall(r"`((?:az|aws|sam) [a-z][^`]*)`", running)
    for line, is_whole in [*((each, True) for each in whole), *((each, False) for each in named)]:
        # A placeholder is a word of its own, or a part of one; SAM's parameters have names.
        is_sam = "--parameter-overrides" in line
        given = re.sub(r"(?<=\s)<[^<>]*>(?!\S)", "Other=x", line) if is_sam else line
        plain = re.sub(r"<[^<>]*>", "x", given.strip().removeprefix("$ "))
        plain = re.sub(r"^(?:[A-Z_]+=\S+\s+)+", "", plain)
        # What a command answers may have a lone quotation mark.
        if plain.partition(" ")[0] in TOOLS:
            words = shlex.split(plain, comments=True)
            yield Line(words[: words.index("|")] if "|" in words else words, is_whole)


LINES = [line for page in PAGES for line in lines_of(page.read_text("utf-8"))]


def _of(tool: str) -> list[Line]:
    return [line for line in LINES if line.words[0] == tool]


def _problems(lines: Sequence[Line], complaints: Sequence[str | None]) -> list[tuple[str, str]]:
    return [
        (" ".join(line.words), told)
        for line, told in zip(lines, complaints, strict=True)
        if told is not None and (line.is_whole or not IS_INCOMPLETE.search(told))
    ]


def test_when_lines_are_looked_for_then_each_tool_has_some() -> None:
    """Else the tests below would find nothing wrong in nothing."""
    whole = {tool: sum(line.is_whole for line in _of(tool)) for tool in TOOLS}

    assert all(count <= whole[tool] for tool, count in (("az", 4), ("aws", 9), ("sam", 6)))


def test_when_a_page_has_an_az_line_then_azure_cli_takes_it() -> None:
    """By its own parser."""
    lines = _of("az")

    assert [] == _problems(lines, complaints_of_azure_cli([line.words for line in lines]))


def test_when_a_page_has_a_sam_line_then_sam_takes_it() -> None:
    """By its own parser, in the folder where the page has it run."""
    lines = _of("sam")
    folder = CHECKOUT / "infra" / "aws"

    assert [] == _problems(lines, complaints_of_sam([line.words for line in lines], folder))


def test_when_a_page_has_an_aws_line_then_its_names_are_aws_own() -> None:
    """By the models that the AWS CLI is made of."""
    lines = _of("aws")

    assert [] == _problems(lines, [complaint_of_aws(line.words) for line in lines])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("aws lamdba list-functions", "no service lamdba"),
        ("aws lambda update-alais --name x", "update-alais"),
        ("aws lambda update-alias --function-nmae x --name x", "--function-nmae"),
        ("aws lambda update-alias --name live", "--function-name is missing"),
        ("aws dynamodb wait table-exist --table-name x", "table-exist"),
        ("aws lambda list-functions x", "x is no option"),
        ("aws sso log-in", "log-in"),
        ("aws", "no service"),
    ],
)
def test_when_an_aws_line_is_wrong_then_it_is_seen(line: str, told: str) -> None:
    """Service, command, option, and what is required."""
    assert told in (complaint_of_aws(line.split()) or "")


def test_when_a_page_has_lines_of_each_kind_then_all_are_found() -> None:
    """Wrapped, with variables before them, within a sentence; comments and output are none."""
    text = (
        "x `az group list` y\n```console\n$ A=b sam build\n$ aws s3api list-buckets \\\n"
        "    --region <r>\nsome az output\n# az comment\n```\n"
    )

    assert [
        (["sam", "build"], True),
        (["aws", "s3api", "list-buckets", "--region", "x"], True),
        (["az", "group", "list"], False),
    ] == list(lines_of(text))


def test_when_running_text_names_an_option_that_there_is_not_then_it_is_seen() -> None:
    """What it may leave out is what a command requires, and nothing else."""
    lines = list(lines_of("`aws lambda update-alias` and `aws lambda update-alias --nmae x`"))
    complaints = [complaint_of_aws(line.words) for line in lines]

    assert [("aws lambda update-alias --nmae x", "there is no --nmae")] == _problems(
        lines, complaints
    )
