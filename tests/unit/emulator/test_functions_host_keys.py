"""Which key opens what."""

import json
from pathlib import Path

import pytest

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.keys import HostKeys

KEYS = HostKeys("the-master", "the-function-key")


@pytest.mark.parametrize(
    ("level", "shown", "opens"),
    [
        ("anonymous", "", True),
        ("function", "the-function-key", True),
        ("function", "the-master", True),
        ("function", "the-function-ke", False),
        ("function", "", False),
        ("function", "schlüssel", False),
        ("admin", "the-master", True),
        ("admin", "the-function-key", False),
        ("a new level", "the-function-key", False),
        ("a new level", "the-master", True),
    ],
)
def test_when_a_key_is_shown_then_it_opens_what_its_level_is_for(
    *, level: str, shown: str, opens: bool
) -> None:
    """A level that nobody knows asks for the master key."""
    assert opens is KEYS.open_function(level, shown)


@pytest.mark.parametrize(
    ("shown", "opens"), [("the-master", True), ("the-function-key", False), ("", False)]
)
def test_when_the_host_is_administered_then_only_the_master_key_serves(
    *, shown: str, opens: bool
) -> None:
    """Else every caller of the proxy could start the sync."""
    assert opens is KEYS.open_admin(shown)


def test_when_keys_are_loaded_then_they_are_not_shown(tmp_path: Path) -> None:
    """A repr ends in logs."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"master": "made-up-1", "function": "made-up-2"}))

    keys = HostKeys.load(file)

    assert HostKeys("made-up-1", "made-up-2") == keys
    assert "made-up" not in repr(keys)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"master": "a"}',
        '{"master": "a", "function": ""}',
        '{"master": "a", "function": 7}',
    ],
)
def test_when_a_key_is_missing_then_the_host_does_not_start_without(
    tmp_path: Path, content: str
) -> None:
    """An empty key would open everything to callers who show none."""
    file = tmp_path / "keys.json"
    file.write_text(content)

    with pytest.raises(FunctionsHostError, match="key"):
        HostKeys.load(file)
