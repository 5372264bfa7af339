"""The lines that `bridge up` prints to be pasted."""

from pathlib import Path

import pytest

from bridge_cli.up_page import bridge_program


@pytest.mark.parametrize(
    ("folder", "called"),
    [("bin", "bridge"), ("another", "{}/another/bridge"), ("two words", "'{}/two words/bridge'")],
)
def test_when_a_line_is_pasted_then_it_calls_the_bridge_that_printed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, called: str
) -> None:
    """Make leaves the PATH as it is, so the name by itself may find none, or another one."""
    for each in ("bin", "another", "two words"):
        (tmp_path / each).mkdir()
        (tmp_path / each / "bridge").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert called.format(tmp_path) == bridge_program(tmp_path / folder / "bridge")
