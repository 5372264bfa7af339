"""The administrator's token for Graph, from the Azure CLI's own sign-in."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from deployment.entra.errors import SignInError

_TIMEOUT: Final = 60

type Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a program, and returns its exit code and what it printed. The output is a secret."""


def token_line(tenant_id: str) -> tuple[str, ...]:
    """Return the `az` line that prints a token for Graph."""
    return (
        *("az", "account", "get-access-token", "--resource-type", "ms-graph"),
        *("--tenant", tenant_id, "--output", "json"),
    )


def fetch_administrator_token(tenant_id: str, run: Run | None = None) -> str:
    """Return a token for Graph of whoever is signed in to the Azure CLI. It is never logged.

    Raises:
        SignInError: there is no Azure CLI, nobody is signed in to this tenant, or what it prints is
            no token of this tenant.

    """
    code, output = (run or _run)(token_line(tenant_id))
    if code:
        raise SignInError(
            "az_sign_in_needed",
            f"The Azure CLI gives no token for Microsoft Graph: run `az login --tenant {tenant_id}`"
            " as an administrator of the tenant.",
        )
    try:
        answer = json.loads(output)
        token, tenant = str(answer["accessToken"]), str(answer["tenant"])
    except (ValueError, KeyError, TypeError):
        raise SignInError(
            "az_answer_unreadable",
            "What `az account get-access-token` printed is no token: is `az` the Azure CLI?",
        ) from None
    if tenant.lower() != tenant_id:
        raise SignInError(
            "az_wrong_tenant",
            f"The Azure CLI is signed in to the tenant {tenant}, and bridge.toml names {tenant_id}:"
            f" run `az login --tenant {tenant_id}`.",
        )
    return token


def _run(line: Sequence[str]) -> tuple[int, str]:
    # What it prints on stderr is for its own log: it can hold parts of what was sent.
    try:
        process = subprocess.Popen(  # noqa: S603 - the line is ours, and no shell reads it
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # `az` is a script that starts Python: both end together, and neither asks anybody.
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SignInError(
            "az_missing", "The Azure CLI is not installed, or `az` is not on the PATH."
        ) from None
    try:
        output, _nothing = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise SignInError(
            "az_timeout", f"`az account get-access-token` gave no answer in {_TIMEOUT} seconds."
        ) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, output
