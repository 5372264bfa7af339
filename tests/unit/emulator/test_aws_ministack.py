from pathlib import Path

import pytest

from emulator.aws.ministack import MinistackError, MinistackPrograms


def test_when_an_environment_is_missing_then_the_error_says_what_to_run(tmp_path: Path) -> None:
    """The file that is not there is named."""
    with pytest.raises(MinistackError, match=r"ministack/bin/python is missing; run: make install"):
        MinistackPrograms.under(tmp_path)


def test_when_only_the_lambda_runtime_is_missing_then_that_is_named(tmp_path: Path) -> None:
    """Each of the two is looked for."""
    python = tmp_path / "ministack" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()

    with pytest.raises(MinistackError, match="lambda-runtime/bin/python is missing"):
        MinistackPrograms.under(tmp_path)
