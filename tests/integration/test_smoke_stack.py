"""`bridge smoke` on the local stack: it passes, and sees an authorizer that is set up wrong."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge_cli.up_page import write_settings_file
from deployment.smoke.smoke_run import CHECK_IDS
from emulator.aws.deployment import LocalAws
from emulator.stack import LocalStack
from tests.support.local_stack import running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

BRIDGE = Path(sys.executable).with_name("bridge")
OTHER_TENANT = "aaaaaaaa-0000-4000-8000-aaaaaaaaaaaa"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """A stack that keeps no decisions, so that a change of the authorizer shows at once."""
    folder = tmp_path_factory.mktemp("smoke")
    async with running_stack(folder, authorizer_cache_seconds=0) as stack:
        write_settings_file(stack)
        yield stack


async def smoke(stack: LocalStack, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run the command as its users do; the exit code, the checks by ID, and all that was shown."""
    process = await asyncio.create_subprocess_exec(
        str(BRIDGE),
        "smoke",
        "--local",
        "--json",
        *("--folder", str(stack.folder)),
        *("--function-app-url", stack.functions.url),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    document = json.loads(output) if output else {"checks": []}
    checks = {check["id"]: check for check in document["checks"]}
    return process.returncode, checks, (output + errors).decode()


def set_authorizer(stack: LocalStack, **variables: str) -> dict[str, str]:
    """Change the authorizer's settings, and return what they were."""
    aws = LocalAws(stack.aws_endpoint_url)
    client = aws.session().client("lambda", endpoint_url=aws.endpoint_url, config=aws.config)
    name = stack.deployment.functions["AuthorizerFunction"]
    before = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": before | variables}
    )
    return before


async def test_when_the_stack_is_up_then_every_check_that_it_has_passes(stack: LocalStack) -> None:
    """Real parts all through, the alarm included; only the keys of a laptop's host are none."""
    code, checks, shown = await smoke(stack)
    outcomes = {name: check["outcome"] for name, check in checks.items()}

    assert (0, CHECK_IDS) == (code, tuple(outcomes))
    assert {"proxy-no-key"} == {name for name, each in outcomes.items() if each != "passed"}
    assert "not_applicable" == outcomes["proxy-no-key"]
    assert "eyJ" not in shown


async def test_when_the_authorizer_knows_nobody_then_the_caller_is_refused(
    stack: LocalStack,
) -> None:
    """The read fails, and says where to name the caller; what must be refused still is."""
    before = set_authorizer(stack, ALLOWED_CLIENT_IDS="0ddba110-0000-4000-8000-000000000001")
    try:
        code, checks, _ = await smoke(stack, "--only", "no-token,bad-token,wrong-role,read")
    finally:
        set_authorizer(stack, **before)

    assert (1, "access_denied") == (code, checks["read"]["code"])
    assert "AllowedClientIds" in checks["read"]["advice"]
    assert {"read"} == {name for name, check in checks.items() if check["outcome"] != "passed"}


async def test_when_the_authorizer_is_of_another_audience_then_read_is_rejected(
    stack: LocalStack,
) -> None:
    """The token is as it must be; only the authorizer's log knows more."""
    before = set_authorizer(stack, API_CLIENT_ID="0ddba110-0000-4000-8000-000000000002")
    try:
        code, checks, _ = await smoke(stack, "--only", "read")
    finally:
        set_authorizer(stack, **before)

    assert (1, "token_rejected") == (code, checks["read"]["code"])
    assert "authorizer's log" in checks["read"]["advice"]


async def test_when_the_metadata_is_of_another_tenant_then_it_is_seen(stack: LocalStack) -> None:
    """What the settings file says is what was meant."""
    file = stack.folder / "local.settings.json"
    kept = file.read_text()
    file.write_text(kept.replace(stack.tenant.directory.tenant_id, OTHER_TENANT))
    try:
        code, checks, _ = await smoke(stack, "--only", "metadata")
    finally:
        file.write_text(kept)

    assert (1, "metadata_differs") == (code, checks["metadata"]["code"])


async def test_when_there_is_no_stack_in_the_folder_then_the_command_says_so(
    stack: LocalStack, tmp_path: Path
) -> None:
    """A wrong option, so nothing was asked."""
    code, _, shown = await smoke(stack, "--folder", str(tmp_path))

    assert (2, True) == (code, "bridge up" in shown)


async def test_when_the_authorizer_cannot_decide_then_read_and_the_alarm_fail(
    stack: LocalStack,
) -> None:
    """The last test here: the alarm remembers for five minutes."""
    before = set_authorizer(stack, ENTRA_TENANT_ID="no-guid")
    try:
        code, checks, _ = await smoke(
            stack, "--only", "health,metadata,no-token,bad-token,wrong-role,read,alarms"
        )
    finally:
        set_authorizer(stack, **before)
    passed = {name for name, check in checks.items() if check["outcome"] == "passed"}

    assert {"health", "metadata", "no-token"} == passed
    assert (1, "authorizer_undecided") == (code, checks["read"]["code"])
    assert "undecided_alarm" == checks["alarms"]["code"]
