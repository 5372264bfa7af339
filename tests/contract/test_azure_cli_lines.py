"""azure-cli's judgment on `az` lines finds what is wrong; the tests of our lines rest on that."""

from tests.support.azure_cli import complaints_of_azure_cli

RIGHT = (
    ["az", "account", "show", "--output", "json"],
    ["az", "group", "create", "--name", "rg", "--location", "westeurope", "--tags", "a=b"],
    ["az", "ad", "app", "create", "--display-name", "N", "--requested-access-token-version", "2"],
)
WRONG = {
    "an option": (["az", "group", "create", "--nmae", "rg", "--location", "x"], "--name"),
    "a command": (["az", "group", "creat", "--name", "rg"], "creat"),
    "a choice": (["az", "rest", "--method", "pots", "--url", "https://x"], "pots"),
    "nothing required": (["az", "ad", "app", "create"], "--display-name"),
    "a file that is not there": (
        ["az", "ad", "app", "create", "--display-name", "N", "--app-roles", "@no-file.json"],
        "no-file.json",
    ),
    "an option of another command": (["az", "account", "show", "--location", "x"], "--location"),
}


def test_when_a_line_is_wrong_then_azure_cli_says_so_and_only_of_that_line() -> None:
    """Lines are judged one by one, and each kind of mistake is found."""
    complaints = complaints_of_azure_cli([*RIGHT, *(line for line, _told in WRONG.values())])

    assert [None] * len(RIGHT) == complaints[: len(RIGHT)]
    for (kind, (_line, told)), complaint in zip(
        WRONG.items(), complaints[len(RIGHT) :], strict=True
    ):
        assert told in (complaint or ""), kind
