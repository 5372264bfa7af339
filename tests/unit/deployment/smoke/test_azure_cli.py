"""What the Azure CLI is asked and what becomes of its answers; a script plays its part."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deployment.smoke.azure_cli import AzureCli, AzureCliKeys, AzureCliTokens
from deployment.smoke.outcome import CheckBlockedError
from shared.clock import SystemClock
from tests.support.azure_cli import complaints_of_azure_cli
from tests.support.processes import becomes_true, is_alive

TENANT = "5e6f0000-0000-4000-8000-00000000000a"
SCOPE = "api://x/.default"

type Program = Callable[[str], AzureCli]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes a program named az of a shell script, which writes its arguments down."""

    def make(script: str) -> AzureCli:
        file = tmp_path / "az"
        file.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n{script}\n')
        file.chmod(0o700)
        return AzureCli(str(file))

    return make


def printing(document: object) -> str:
    """A script that prints it and succeeds."""
    return f"cat <<'END'\n{json.dumps(document)}\nEND"


def refusing(text: str) -> str:
    """A script that fails with it."""
    return f"cat >&2 <<'END'\n{text}\nEND\nexit 1"


async def test_when_somebody_is_signed_in_then_the_token_is_the_tenants(
    program: Program, tmp_path: Path
) -> None:
    """Never that of whichever tenant the CLI has as its default; the line is one that `az` has."""
    cli = program(printing({"accessToken": "a.b.c", "tenant": TENANT}))
    token = await AzureCliTokens(TENANT, cli).token(SCOPE)
    line = ["az", *(tmp_path / "arguments").read_text().splitlines()]

    assert "a.b.c" == token
    assert [None] == complaints_of_azure_cli([line])
    assert ["--scope", SCOPE, "--tenant", TENANT] == line[3:7]


async def test_when_keys_are_listed_then_the_line_is_one_that_az_has(
    program: Program, tmp_path: Path
) -> None:
    """With the subscription, where one is named."""
    cli = program(printing({"functionKeys": {"default": "f"}, "masterKey": "m"}))
    keys = await AzureCliKeys("func-x", "rg-x", "sub", cli).keys()
    line = ["az", *(tmp_path / "arguments").read_text().splitlines()]

    assert ("f", "m") == (keys.function, keys.master)
    assert [None] == complaints_of_azure_cli([line])
    assert ["--name", "func-x", "--resource-group", "rg-x", "--subscription", "sub"] == line[4:10]


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (refusing("ERROR: Please run 'az login' to setup account."), "sign_in_missing", "az login"),
        (refusing("AADSTS65001: no consent"), "sign_in_refused", "Pre-authorize the Azure CLI"),
        (refusing("AADSTS500011: no such resource"), "sign_in_refused", "Application ID URI"),
        (refusing("AADSTS501051: not assigned"), "sign_in_refused", "Records.Read"),
        (refusing("AADSTS70043: too old"), "sign_in_refused", f"az login --tenant {TENANT}"),
        (printing({"accessToken": "a\r\nb"}), "sign_in_missing", "az login"),
        (printing([]), "sign_in_missing", "az login"),
        ("echo garbage", "sign_in_missing", "az login"),
        ("head -c 3000000 /dev/zero", "sign_in_missing", "az login"),
    ],
)
async def test_when_there_is_no_token_then_it_says_what_to_do(
    program: Program, script: str, code: str, words: str
) -> None:
    """By Entra ID's own code, and without its words, which may name people."""
    with pytest.raises(CheckBlockedError, match=words) as raised:
        await AzureCliTokens(TENANT, program(script)).token(SCOPE)

    assert code == raised.value.code
    assert "consent" not in raised.value.came


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (refusing("(AuthorizationFailed) The client 'x' is not allowed"), "AuthorizationFailed"),
        (refusing("boom"), "not said why"),
    ],
)
async def test_when_keys_may_not_be_listed_then_it_says_which_right(
    program: Program, script: str, word: str
) -> None:
    """The one action that it takes."""
    with pytest.raises(CheckBlockedError, match="listkeys/action") as raised:
        await AzureCliKeys("func", "rg", None, program(script)).keys()

    assert word in raised.value.came


async def test_when_the_app_is_not_named_then_no_keys_are_asked_for() -> None:
    """It says which options name it."""
    with pytest.raises(CheckBlockedError, match="--function-app"):
        await AzureCliKeys(None, "rg").keys()


async def test_when_there_is_no_azure_cli_then_it_says_so() -> None:
    """It has to be installed."""
    with pytest.raises(CheckBlockedError) as raised:
        await AzureCliTokens(TENANT, AzureCli("az-that-is-nowhere")).token(SCOPE)

    assert "azure_cli_missing" == raised.value.code


async def test_when_the_azure_cli_hangs_then_it_ends_with_whoever_waits(
    program: Program, tmp_path: Path
) -> None:
    """With all that it has started: on Linux `az` is a script around Python."""
    cli = program(f"sleep 600 & echo $! > {tmp_path}/pid\nwait")
    clock = SystemClock()
    began = clock.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await AzureCliTokens(TENANT, cli).token(SCOPE)
    child = int((tmp_path / "pid").read_text())

    assert clock.monotonic() - began < 5
    assert becomes_true(lambda: not is_alive(child))
