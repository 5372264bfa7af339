"""GUIDs."""

import pytest

from shared.guid import is_guid, parse_guid

CLIENT_ID = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.mark.parametrize("text", [CLIENT_ID, CLIENT_ID.upper()])
def test_when_a_guid_is_given_then_it_is_in_lower_case(text: str) -> None:
    """As Entra ID writes it into tokens."""
    assert CLIENT_ID == parse_guid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "common",
        "contoso.onmicrosoft.com",
        CLIENT_ID[:-1],
        CLIENT_ID + "0",
        CLIENT_ID.replace("-", ""),
        f"{{{CLIENT_ID}}}",
        CLIENT_ID + "\n",
        CLIENT_ID.replace("a", "g"),
        "00000000-0000-0000-0000-000000000000",
        "\u0661" + CLIENT_ID[1:],
    ],
)
def test_when_it_is_no_guid_then_it_is_refused(text: str) -> None:
    """Names, other spellings, other digits and the nil GUID."""
    with pytest.raises(ValueError, match="is not a GUID"):
        parse_guid(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(CLIENT_ID, True), (CLIENT_ID.upper(), False), (CLIENT_ID + "\n", False), ("", False)],
)
def test_when_a_guid_comes_in_a_token_then_only_its_one_spelling_is_one(
    text: str,
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Entra ID writes lower case."""
    assert expected is is_guid(text)


class Unread(str):
    """A text that nobody may take apart or remember."""

    __slots__ = ()

    def __hash__(self) -> int:
        """Refuse to be remembered."""
        raise AssertionError("remembered")

    def split(self, *_: object) -> list[str]:
        """Refuse to be taken apart."""
        raise AssertionError("taken apart")


@pytest.mark.parametrize("text", ["-" * 6_000, CLIENT_ID + "0", CLIENT_ID[1:]])
def test_when_a_text_is_not_as_long_as_a_guid_then_it_is_neither_read_nor_remembered(
    text: str,
) -> None:
    """Before any signature, thousands of hyphens would cost as much as several signatures."""
    assert not is_guid(Unread(text))
