"""The local AWS as a process and as a deployment target: what users meet when things go wrong."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bundling.bundles import RECIPES, BundleBuilder, Recipe
from bundling.errors import BundleError
from bundling.requirements import find_uv
from emulator.aws.deployment import DeploymentError, deploy
from emulator.aws.local_bundles import build_local_bundles
from emulator.aws.ministack import REGION, Ministack, MinistackError, MinistackPrograms
from emulator.aws.template import load_template
from emulator.aws.template_overlay import functions_in
from shared.clock import SystemClock
from tests.support.local_aws import (
    PARAMETERS,
    ROOT,
    TEMPLATE,
    DeployProbes,
    ProbedStack,
    build_probe_bundles,
)
from tests.support.processes import descendants_of

pytestmark = pytest.mark.stack

PROGRAMS = MinistackPrograms.under(ROOT / ".tools")

START_AND_WAIT = """
import sys, time
from pathlib import Path
from emulator.aws.ministack import Ministack, MinistackPrograms
from shared.clock import SystemClock

programs = MinistackPrograms.under(Path(sys.argv[1]))
running = Ministack.start(programs, Path(sys.argv[2]), clock=SystemClock(), sleep=time.sleep)
print(running.port, flush=True)
time.sleep(60)
"""


def start(folder: Path, port: int | None = None) -> Ministack:
    """A MiniStack of the test's own."""
    return Ministack.start(PROGRAMS, folder, clock=SystemClock(), sleep=time.sleep, port=port)


def is_listening(port: int) -> bool:
    """Whether anything takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def becomes_true(condition: Callable[[], bool], within_seconds: float = 10.0) -> bool:
    """Whether the condition comes true in time."""
    give_up_at = SystemClock().monotonic() + within_seconds
    while not condition():
        if SystemClock().monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True


# --- the process --------------------------------------------------------------------------------


def test_when_the_port_is_taken_then_the_error_names_it(tmp_path: Path) -> None:
    """Nothing is started beside the program that has the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(MinistackError, match=f"port {port} on 127.0.0.1 is taken; stop"):
            start(tmp_path, port)


def test_when_a_port_is_chosen_then_it_listens_there_until_stopped(tmp_path: Path) -> None:
    """The caller can fix the port, and gets it back."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

    running = start(tmp_path, port)
    was_listening = is_listening(port)
    running.stop()
    running.stop()

    assert f"http://127.0.0.1:{port}" == running.endpoint_url
    assert was_listening
    assert not is_listening(port)


def test_when_it_cannot_run_then_the_error_names_the_log(tmp_path: Path) -> None:
    """An interpreter without MiniStack ends at once, and its words are in the log."""
    without_ministack = MinistackPrograms(PROGRAMS.lambda_python, PROGRAMS.lambda_python)

    with pytest.raises(MinistackError, match=r"ended while starting; see .*ministack\.log"):
        Ministack.start(without_ministack, tmp_path, clock=SystemClock(), sleep=time.sleep)

    assert "No module named 'ministack'" in (tmp_path / "ministack.log").read_text()


def test_when_the_parent_is_killed_then_it_ends_by_itself(tmp_path: Path) -> None:
    """Even SIGKILL leaves no MiniStack behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, ROOT / ".tools", tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        port = int(parent.stdout.readline())
    was_listening = is_listening(port)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    assert was_listening
    assert becomes_true(lambda: not is_listening(port))


def listening_addresses(process_id: int) -> set[str]:
    """The process's own listening sockets, as Linux writes them: address and port in hex."""
    process = Path(f"/proc/{process_id}")
    sockets = {
        str(descriptor.readlink()).removeprefix("socket:[").rstrip("]")
        for descriptor in (process / "fd").iterdir()
    }
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in (process / "net" / table).read_text().splitlines()[1:]
    ]
    listening = "0A"
    return {row[1] for row in rows if row[3] == listening and row[9] in sockets}


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads Linux's socket tables")
def test_when_it_runs_then_it_listens_on_loopback_alone(probed_stack: ProbedStack) -> None:
    """No other machine can reach the gateway, the functions' runtime API or a helper service."""
    probed_stack.call("/health")

    processes = descendants_of(probed_stack.ministack._process.pid)
    addresses = set().union(*map(listening_addresses, processes))

    assert f"0100007F:{probed_stack.ministack.port:04X}" in addresses
    assert {"0100007F"} == {address.partition(":")[0] for address in addresses}


# --- the deployment -----------------------------------------------------------------------------


def deploy_template(ministack: Ministack, template: Path, folder: Path, name: str) -> None:
    """The template with probes for functions."""
    deploy(
        ministack.endpoint_url,
        template,
        build_probe_bundles(folder),
        PARAMETERS,
        "http://127.0.0.1:9",
        clock=SystemClock(),
        sleep=time.sleep,
        stack_name=name,
    )


def test_when_a_parameter_is_out_of_bounds_then_the_error_names_it(
    deploy_probes: DeployProbes,
) -> None:
    """The template's own bounds hold here as in AWS."""
    with pytest.raises(DeploymentError, match="'EntraCloud' value 'mars' is not in AllowedValues"):
        deploy_probes("refused", EntraCloud="mars")


def test_when_a_parameter_is_unknown_then_the_error_names_it(deploy_probes: DeployProbes) -> None:
    """A misspelt parameter is not silently ignored."""
    with pytest.raises(DeploymentError, match=r"the template has no parameter EntraTenant$"):
        deploy_probes("misspelt", EntraTenant="x")


def test_when_a_resource_fails_then_the_error_names_it_and_why(
    ministack: Ministack, tmp_path: Path
) -> None:
    """Out of a stack's many events comes the one that made it fail."""
    broken = tmp_path / "template.yaml"
    broken.write_text(
        TEMPLATE.read_text().replace(
            "\nOutputs:",
            "\n  Broken:\n    Type: AWS::ApiGateway::GatewayResponse\n"
            "    Properties: {RestApiId: !Ref Api, ResponseType: NO_SUCH_TYPE}\n\nOutputs:",
        )
    )

    with pytest.raises(
        DeploymentError, match=r"^Broken \(AWS::ApiGateway::GatewayResponse\) .*NO_SUCH_TYPE"
    ):
        deploy_template(ministack, broken, tmp_path, "broken")


def test_when_deployed_again_then_the_same_stack_is_brought_up_to_date(
    deploy_probes: DeployProbes,
) -> None:
    """Nothing changed: same API, same table. A parameter changed: the table stays."""
    first = deploy_probes("again").deployment
    same = deploy_probes("again").deployment
    changed = deploy_probes("again", AuthorizerResultTtlInSeconds="7").deployment

    assert first == same
    assert first.table_name == changed.table_name


def ask_preflight(ministack: Ministack) -> dict[str, Any]:
    """What `bridge preflight` says of the local account."""
    asked = subprocess.run(
        [Path(sys.executable).with_name("bridge"), "preflight", "--json", "--region", REGION],
        env={
            "AWS_ENDPOINT_URL": ministack.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said: dict[str, Any] = json.loads(asked.stdout)
    return said


def test_when_the_stack_has_set_the_log_role_then_the_preflight_sees_it(
    ministack: Ministack, deploy_probes: DeployProbes
) -> None:
    """A fresh account needs the parameter once; from then on the setting stays as it is."""
    before = ask_preflight(ministack)
    deploy_probes("log-role", **before["parameters"])
    after = ask_preflight(ministack)
    deploy_probes("log-role", **after["parameters"])

    assert {"ManageGatewayLogRole": "true"} == before["parameters"]
    assert {"ManageGatewayLogRole": "false"} == after["parameters"]
    assert after == ask_preflight(ministack)


def test_when_deployed_then_the_functions_and_their_log_can_be_reached(
    probed_stack: ProbedStack,
) -> None:
    """The URL has the stage for its last segment; every function has its name; lines are kept."""
    token = probed_stack.token("allow")
    probed_stack.call(token=token)

    deployment = probed_stack.deployment
    assert deployment.stage == urlsplit(deployment.api_url).path.rpartition("/")[2]
    assert set(RECIPES) == set(deployment.functions)
    assert token in probed_stack.ministack.lambda_log_file.read_text()


def test_when_deployed_then_the_functions_know_the_local_address(
    deploy_probes: DeployProbes,
) -> None:
    """The public metadata must name the API as callers reach it, also after an update."""
    first = deploy_probes("addressed")
    again = deploy_probes("addressed", AuthorizerResultTtlInSeconds="7")

    answer = again.call("/.well-known/oauth-protected-resource")

    assert first.deployment.api_url == again.deployment.api_url
    assert again.deployment.api_url == answer.document["public_url"]


def test_when_deployed_once_more_with_its_address_then_the_challenge_names_it(
    deploy_probes: DeployProbes,
) -> None:
    """The second deployment of a first day: API Gateway chooses the address, and keeps it."""
    first = deploy_probes("first-day")
    bare = first.call().headers["www-authenticate"]
    url = first.deployment.api_url

    again = deploy_probes("first-day", PublicUrl=url)
    refused, answer = again.call(), again.call(token=again.token("allow"))

    assert "Bearer" == bare
    assert url == again.deployment.api_url
    metadata = f"{url}/.well-known/oauth-protected-resource"
    assert f'Bearer resource_metadata="{metadata}"' == refused.headers["www-authenticate"]
    assert 200 == answer.status


# --- the bundles --------------------------------------------------------------------------------


USES_ITS_LIBRARIES = {
    "AuthorizerFunction": (
        "from cryptography.hazmat.primitives.asymmetric import rsa;"
        " rsa.RSAPublicNumbers(65_537, (1 << 2047) + 1).public_key()"
    ),
    "RecordsFunction": "import boto3; boto3.client('dynamodb', region_name='eu-west-1')",
    "DiscoveryFunction": "pass",
    "HealthFunction": "pass",
}


@pytest.mark.parametrize("function", RECIPES)
def test_when_a_bundle_is_trimmed_then_its_handler_and_libraries_still_load(
    tmp_path: Path, function: str
) -> None:
    """In an interpreter that has nothing but the bundle, as in Lambda."""
    bundle = build_local_bundles(ROOT)[function]
    handler = dict(functions_in(load_template(TEMPLATE)))[function]["Handler"]
    task = tmp_path / "task"
    subprocess.run([sys.executable, "-m", "zipfile", "--extract", bundle, task], check=True)
    program = f"""
import sys
sys.path.insert(0, {str(task)!r})
import {handler.rpartition(".")[0]}
{USES_ITS_LIBRARIES[function]}
"""

    loaded = subprocess.run(
        [PROGRAMS.lambda_python, "-I", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (loaded.returncode, loaded.stderr)


def test_when_the_requirements_cannot_be_installed_then_the_error_says_which(
    tmp_path: Path,
) -> None:
    """A lock whose hash is not that of the package is refused, and nothing is left behind."""
    for folder in ("requirements", "package", "shared"):
        (tmp_path / folder).mkdir()
    lock = tmp_path / "requirements" / "broken.txt"
    lock.write_text("six==1.17.0 --hash=sha256:" + "0" * 64)
    cache = tmp_path / "cache"
    builder = BundleBuilder(tmp_path, find_uv(ROOT), cache)

    with pytest.raises(BundleError, match=r"^broken\.txt could not be installed: "):
        builder.build_zip(Recipe("package", "broken.txt"), platform=None)

    assert [] == list(cache.iterdir())
