"""SAM's judgment on `sam` lines finds what is wrong; the tests of our lines rest on that."""

from tests.support.sam_cli import complaints_of_sam

TEMPLATE = "infra/aws/template.yaml"
RIGHT = (
    ["sam", "build", "--template-file", TEMPLATE, "--build-dir", "b", "--build-in-source"],
    ["sam", "deploy", "--template-file", TEMPLATE, "--stack-name", "x", "--resolve-s3"],
)
WRONG = {
    "an option": (["sam", "deploy", "--stack-nmae", "x"], "--stack-nmae"),
    "a command": (["sam", "buildx"], "buildx"),
    "a template that is not there": (
        ["sam", "deploy", "--template-file", "no.yaml", "--stack-name", "x"],
        "no.yaml",
    ),
    "a parameter file that is not there": (
        ["sam", "deploy", "--stack-name", "x", "--parameter-overrides", "file://no.yaml"],
        "no.yaml",
    ),
}


def test_when_a_line_is_wrong_then_sam_says_so_and_only_of_that_line() -> None:
    """Lines are judged one by one, and each kind of mistake is found."""
    complaints = complaints_of_sam([*RIGHT, *(line for line, _told in WRONG.values())])

    assert [None] * len(RIGHT) == complaints[: len(RIGHT)]
    for (kind, (_line, told)), complaint in zip(
        WRONG.items(), complaints[len(RIGHT) :], strict=True
    ):
        assert told in (complaint or ""), kind
