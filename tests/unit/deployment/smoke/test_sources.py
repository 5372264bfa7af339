"""The keys out of what `az functionapp keys list` prints."""

import pytest

from deployment.smoke.sources import FunctionKeys


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        (
            {"functionKeys": {"a": "other", "default": "f"}, "masterKey": "m", "systemKeys": {}},
            ("f", "m"),
        ),
        ({"functionKeys": {"b": "2", "a": "1"}, "masterKey": None}, ("1", None)),
        ({"functionKeys": {}, "masterKey": ""}, (None, None)),
        ({"functionKeys": {"default": "x\r\nInjected: y"}, "masterKey": 7}, (None, None)),
        ({"functionKeys": []}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_when_keys_are_listed_then_those_that_a_header_can_hold_are_taken(
    document: dict[str, object], keys: tuple[str | None, str | None]
) -> None:
    """The host's own default key before others; a line break would begin another header."""
    found = FunctionKeys.of_listing(document)

    assert keys == (found.function, found.master)


def test_when_keys_are_shown_then_they_are_not() -> None:
    """A traceback shows a `repr`."""
    assert "secret" not in repr(FunctionKeys("secret-f", "secret-m"))
