"""The installer: which uv it takes."""

from pathlib import Path

import pytest

from bundling.errors import BundleError
from bundling.requirements import find_uv


def test_when_there_is_no_uv_then_the_error_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on PATH nor in the checkout."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BundleError, match="run: make install"):
        find_uv(tmp_path)


def test_when_the_checkout_has_uv_then_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine need not have one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    own = tmp_path / ".tools" / "uv" / "bin" / "uv"
    own.parent.mkdir(parents=True)
    own.touch(mode=0o755)

    assert own == find_uv(tmp_path)
