"""`bridge explain` as a person runs it, beside the authorizer of a whole local stack."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge_cli.authorizer_log import AuthorizerLog
from bridge_cli.authorizer_settings import write_authorizer_settings
from bridge_cli.local_client import LocalClient
from bridge_cli.refusals import GATEWAY, REFUSAL_CASES, RefusalCase, try_to_get_in
from bridge_cli.up_page import write_settings_file
from emulator.functions_host.settings import inherited_environment
from emulator.loopback import find_free_port
from emulator.stack import LocalStack
from tests.support.local_stack import running_stack

BRIDGE = Path(sys.executable).with_name("bridge")
EXIT_STATUS = {401: 1, 403: 3}
PERSONAL = {
    "name": "Ada Person",
    "preferred_username": "ada@person.example",
    "upn": "ada@person.example",
    "email": "ada@person.example",
    "unique_name": "ada@person.example",
    "family_name": "Person",
    "given_name": "Ada",
    "ipaddr": "203.0.113.77",
    "sub": "pairwise-subject-of-ada",
}

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """One stack, with the files that `bridge up` writes."""
    async with running_stack(tmp_path_factory.mktemp("explain") / "up") as stack:
        write_settings_file(stack)
        write_authorizer_settings(stack)
        yield stack


async def explain(stack: LocalStack, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    """The command's exit status and its output, in a process of its own as in a user's shell."""
    # None of our settings: the command must find all of them in the stack's folder.
    process = await asyncio.create_subprocess_exec(
        BRIDGE, "explain", *arguments, "--local", "--folder", str(stack.folder),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=inherited_environment(), cwd=stack.folder,
    )  # fmt: skip
    out, err = await process.communicate(typed.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def assert_tells_no_secret(stack: LocalStack, token: str, *outputs: str) -> None:
    """No part of the token, no secret of the stack, nothing about a person."""
    settings = stack.function_settings
    secrets = {
        # Any piece of the signature or of the claims as they are written in the token.
        *(token[start : start + 24] for start in range(0, max(1, len(token) - 24), 8)),
        settings["IDENTITY_HEADER"],
        *stack.tenant.service_principal.secrets,
        *stack.tenant.editor.secrets,
        *PERSONAL.values(),
    }
    shown = "\n".join(outputs)

    assert outputs
    assert [] == [secret for secret in secrets if secret and secret in shown]


async def test_when_nothing_is_named_then_the_credential_in_use_is_explained(
    stack: LocalStack,
) -> None:
    """Its token is good, its signature was checked with the keys of the local Entra ID."""
    code, out, err = await explain(stack, "--route", "GET /v1/records", "--json")
    explained = json.loads(out)

    assert (0, "") == (code, err)
    assert ("allowed", True, True) == (
        explained["verdict"],
        explained["is_signature_verified"],
        explained["route"]["is_open"],
    )
    assert {"passed"} == {check["status"] for check in explained["checks"]}


async def test_when_the_policy_does_not_open_a_route_then_it_says_so_as_the_gateway_does(
    stack: LocalStack,
) -> None:
    """The same token, the same route: 403 from the gateway, and status 3 from the command."""
    async with LocalClient.to(stack) as client:
        token = await client.token_for(stack.tenant.service_principal)
        answered = await client.call_api("PUT", "/v1/records/00AA", token=token, json={})
        read = await client.call_api("GET", "/v1/records/00AA", token=token)
    closed = await explain(stack, "-", "--route", "PUT /v1/records/00AA", typed=token)
    opened = await explain(stack, "-", "--route", "GET /v1/records/00AA", typed=token)

    assert (403, 200) == (answered.status_code, read.status_code)
    assert (3, 0) == (closed[0], opened[0])
    assert "needs Records.Write" in " ".join(closed[1].split())


async def test_when_the_credential_gets_no_token_then_only_our_own_sentence_says_so(
    stack: LocalStack, tmp_path: Path
) -> None:
    """A library's warnings are written for others, and may say more than is ours to show."""
    document = json.loads((stack.folder / "local.settings.json").read_text("utf-8"))
    closed = f"http://127.0.0.1:{find_free_port()}/msi/token"
    document["Values"]["IDENTITY_ENDPOINT"] = closed
    file = tmp_path / "app.settings.json"
    file.write_text(json.dumps(document), "utf-8")
    code, out, err = await explain(stack, "--app-settings", str(file))

    assert (4, "") == (code, out)
    assert "(token_unavailable)" in err
    assert ["✗"] == [line[:1] for line in err.splitlines()]


@pytest.mark.parametrize(
    "case", [case for case in REFUSAL_CASES if case.expected_reason != GATEWAY],
    ids=lambda case: case.name,
)  # fmt: skip
async def test_when_a_token_is_refused_then_the_explanation_has_the_reason_in_the_log(
    stack: LocalStack, case: RefusalCase
) -> None:
    """The deployed authorizer's own log line, for the very same token."""
    async with LocalClient.to(stack) as client:
        token = await case.token(stack, client)
        assert token is not None

        async def same_token(*_: Any) -> str:
            return token

        log = AuthorizerLog(stack.log_folder / "lambda.log")
        refusal = await try_to_get_in(replace(case, token=same_token), stack, client, log)
    (code, out, err), shown = await asyncio.gather(
        explain(stack, "-", "--json", typed=f"Bearer {token}\n"),
        explain(stack, "-", typed=f"Bearer {token}\n"),
    )
    explained = json.loads(out)

    assert refusal.reason == explained["reason"]
    assert EXIT_STATUS[refusal.status] == code == shown[0]
    assert refusal.status == explained["http_status"]
    # How long ago it ended, which stands before this, goes on.
    assert shown[1].split()[-10:] == explained["fix"].split()[-10:]
    assert_tells_no_secret(stack, token, out, err, *shown[1:])


async def test_when_there_is_no_token_then_nothing_can_be_told(stack: LocalStack) -> None:
    """What the gateway refuses by itself is no token to explain."""
    code, out, err = await explain(stack, "-", typed="\n")

    assert (4, "") == (code, out)
    assert "(no_token)" in err


async def test_when_a_users_token_is_explained_then_nothing_tells_who_it_is(
    stack: LocalStack,
) -> None:
    """Not who, nor the token, nor a secret of the stack, in either form."""
    issuer = stack.entra.issuer
    claims = issuer.claims_for(stack.tenant.service_principal)
    oid = "dddddddd-0000-4000-8000-0000000000ad"
    token = issuer.sign(claims | PERSONAL | {"scp": "Records.View", "idtyp": "user", "oid": oid})
    code, out, err = await explain(stack, "-", "--json", typed=token)
    shown = await explain(stack, "-", typed=token)

    assert (3, "delegated_token") == (code, json.loads(out)["reason"])
    assert_tells_no_secret(stack, token, out, err, *shown[1:])
    assert oid not in out + shown[1]


async def test_when_a_token_stands_on_the_command_line_then_it_is_refused_and_not_shown(
    stack: LocalStack,
) -> None:
    """As an argument, in an option, or behind a word too many."""
    async with LocalClient.to(stack) as client:
        token = await client.token_for(stack.tenant.service_principal)
    for arguments in ((token,), (f"--token={token}",), ("Bearer", token), ("--route", token)):
        code, out, err = await explain(stack, *arguments)

        assert (2, "") == (code, out)
        assert "token_on_command_line" in "".join(err.split("\n"))
        assert_tells_no_secret(stack, token, err)


async def test_when_the_local_settings_are_written_then_they_are_the_deployed_ones(
    stack: LocalStack,
) -> None:
    """What the Lambda itself has, and no secret."""
    written = json.loads((stack.folder / "authorizer.settings.json").read_text("utf-8"))

    assert stack.entra.authority == written["ENTRA_AUTHORITY"]
    assert ",".join(stack.tenant.allowed_client_ids) == written["ALLOWED_CLIENT_IDS"]
    assert "USAGE_PLAN_KEYS" not in written
