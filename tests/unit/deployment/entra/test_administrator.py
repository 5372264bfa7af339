"""The administrator's token from the Azure CLI."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from deployment.entra import administrator
from deployment.entra.administrator import fetch_administrator_token, token_line
from deployment.entra.errors import SignInError
from tests.support.graph import TENANT_ID
from tests.support.processes import becomes_true, is_alive

TOKEN = "made-up.administrator.token"


def printing(output: object, code: int = 0) -> object:
    """An `az` that prints this."""

    def run(line: Sequence[str]) -> tuple[int, str]:
        assert token_line(TENANT_ID) == line
        return code, output if isinstance(output, str) else json.dumps(output)

    return run


def fetch(output: object, code: int = 0) -> str:
    """The token that such an `az` gives."""
    return fetch_administrator_token(TENANT_ID, printing(output, code))  # type: ignore[arg-type]  # it is a function


def test_when_an_administrator_is_signed_in_then_their_token_is_taken() -> None:
    """As `az` prints it, whatever else it says."""
    assert TOKEN == fetch({"accessToken": TOKEN, "tenant": TENANT_ID.upper(), "expires_on": 1})


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        ("", 1, "az_sign_in_needed"),
        ("Python 3", 0, "az_answer_unreadable"),
        ([TOKEN], 0, "az_answer_unreadable"),
        ({"accessToken": TOKEN}, 0, "az_answer_unreadable"),
        ({"accessToken": TOKEN, "tenant": "common"}, 0, "az_wrong_tenant"),
    ],
)
def test_when_there_is_no_token_of_the_tenant_then_it_says_what_to_do(
    output: object, code: int, expected: str
) -> None:
    """And never shows what `az` printed."""
    with pytest.raises(SignInError) as refused:
        fetch(output, code)

    assert expected == refused.value.code
    assert TOKEN not in str(refused.value)


def test_when_there_is_no_azure_cli_then_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first thing that is missing on a new laptop."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SignInError) as refused:
        fetch_administrator_token(TENANT_ID)

    assert "az_missing" == refused.value.code


def test_when_az_hangs_then_it_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that waits for another program, as `az` is: neither is left, and no output shown."""
    az = tmp_path / "az"
    az.write_text(f"#!/bin/sh\necho {TOKEN}\nsleep 30 & echo $! > {tmp_path}/pid\nwait\n")
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(administrator, "_TIMEOUT", 1)
    started = time.perf_counter()

    with pytest.raises(SignInError) as refused:
        fetch_administrator_token(TENANT_ID)

    assert "az_timeout" == refused.value.code
    assert TOKEN not in str(refused.value)
    assert time.perf_counter() - started < 15
    assert becomes_true(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_when_az_prints_a_token_then_it_is_read_from_its_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A real process."""
    program = tmp_path / "az"
    answer = json.dumps({"accessToken": TOKEN, "tenant": TENANT_ID})
    program.write_text(f"#!/bin/sh\necho 'WARNING: chatty' >&2\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    assert TOKEN == fetch_administrator_token(TENANT_ID)
