"""`bridge clouds`: empty clouds that others find by a file, and that end with all that they run."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bundling.function_app import build_function_app, choose_local_platform
from emulator.stack_folder import claim_folder
from tests.rehearsal.commands import places, run, running_clouds, smoke_line
from tests.support.processes import becomes_true, descendants_of, is_alive

pytestmark = pytest.mark.timeout(120)

CHECKOUT = Path(__file__).parents[2]
BRIDGE = Path(sys.executable).with_name("bridge")
SITE = "func-bridge-dev-123456"
NAMES = {
    "identityName": "id-bridge-dev",
    "storageAccountName": "stbridgedev123456",
    "planName": "plan-bridge-dev",
    "insightsName": "appi-bridge-dev",
}


def run_a_site(clouds: dict[str, Any]) -> str:
    """Deploy and publish the Function App; return its address."""
    package = build_function_app(CHECKOUT, platform=choose_local_platform())
    with httpx.Client(base_url=clouds["azure"]["url"], timeout=60) as azure:
        for module, parameters in (
            ("foundation", {**NAMES, "workspaceName": "log-bridge-dev"}),
            (
                "app",
                {
                    **NAMES,
                    "functionAppName": SITE,
                    "awsApiBaseUrl": "http://127.0.0.1:9/dev",
                    "entraTenantId": clouds["entra"]["tenant_id"],
                    "apiClientId": "aaaaaaaa-0000-4000-8000-000000000001",
                },
            ),
        ):
            body = {"module": f"{module}.bicep", "parameters": parameters, "digest": "d"}
            azure.put(f"/deployments/{module}", json=body).raise_for_status()
        published = azure.put(f"/sites/{SITE}/package", content=package.read_bytes())
    url: str = published.json()["url"]
    return url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of clouds that run for all tests that leave them as they are."""
    folder = tmp_path_factory.mktemp("rehearsal") / "clouds"
    with running_clouds(folder):
        yield folder


def test_when_the_clouds_are_up_then_the_file_with_their_secrets_is_ours_only(
    folder: Path,
) -> None:
    """It holds an administrator's token."""
    mode = stat.S_IMODE((folder / "clouds.json").stat().st_mode)

    assert 0o600 == mode


def test_when_the_clouds_are_up_then_each_of_them_answers(folder: Path) -> None:
    """Entra ID and its Graph, AWS, Azure; all empty."""
    clouds = places(folder)
    entra = clouds["entra"]
    with httpx.Client(timeout=30) as client:
        discovery = client.get(
            f"{entra['authority']}/{entra['tenant_id']}/v2.0/.well-known/openid-configuration"
        )
        graph = client.get(
            f"{entra['graph_url']}/v1.0/applications",
            headers={"Authorization": f"Bearer {entra['administrator_token']}"},
        )
        stacks = client.get(f"{clouds['aws']['endpoint_url']}/_ministack/health")
        deployments = client.get(f"{clouds['azure']['url']}/deployments/foundation")

    assert 200 == discovery.status_code
    assert (200, []) == (graph.status_code, graph.json()["value"])
    assert 200 == stacks.status_code
    assert (404, "deployment_not_found") == (deployments.status_code, deployments.json()["code"])


def test_when_a_second_start_wants_the_folder_then_it_is_refused(folder: Path) -> None:
    """And the clouds that have it run on."""
    before = places(folder)
    second = subprocess.run(
        [BRIDGE, "clouds", "--folder", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 1 == second.returncode
    assert "folder_in_use" in second.stderr
    assert before == places(folder)


def test_when_nothing_is_deployed_then_smoke_says_what_to_run(folder: Path) -> None:
    """It is not the table of checks that failed: there is nothing to try."""
    smoked = run(smoke_line(folder))

    assert 1 == smoked.code
    assert "bridge deploy --local" in smoked.shown
    assert "local_pair_missing" in smoked.shown


def test_when_a_port_is_taken_then_nothing_is_started(folder: Path, tmp_path: Path) -> None:
    """Every problem is said before the first part starts."""
    port = places(folder)["azure"]["url"].rpartition(":")[2]
    refused = subprocess.run(
        [BRIDGE, "clouds", "--folder", tmp_path / "other", "--azure-port", port],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 1 == refused.returncode
    assert f"Port {port}, for Azure, " in refused.stderr
    assert [] == list((tmp_path / "other").glob("logs"))


def test_when_a_foundation_is_deployed_then_graph_sees_the_identity(folder: Path) -> None:
    """Its service principal is what the administrator grants a role to."""
    clouds = places(folder)
    run_a_site(clouds)
    with httpx.Client(timeout=30) as client:
        outputs = client.get(f"{clouds['azure']['url']}/deployments/foundation").json()["outputs"]
        principal = client.get(
            f"{clouds['entra']['graph_url']}/v1.0/servicePrincipals/"
            f"{outputs['identityPrincipalId']}",
            headers={"Authorization": f"Bearer {clouds['entra']['administrator_token']}"},
        )

    assert outputs["identityClientId"] == principal.json()["appId"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_when_the_clouds_end_then_no_process_is_left(tmp_path: Path, ending: int) -> None:
    """The deployed Function App's neither, however the clouds end; the folder is free again."""
    folder = tmp_path / "clouds"
    with running_clouds(folder) as process:
        url = run_a_site(places(folder))
        answered = httpx.get(f"{url}/api/health", timeout=30).status_code
        started = descendants_of(process.pid)
        os.kill(process.pid, ending)
        code = process.wait(timeout=60)
        have_ended = becomes_true(lambda: not any(map(is_alive, started)), within_seconds=20)
    with claim_folder(folder, CHECKOUT) as claimed:
        is_free = claimed.path == folder

    assert 200 == answered
    # MiniStack, Azurite, the Functions host and its worker, each but the last two supervised.
    assert 6 <= len(started)
    assert have_ended
    assert (-ending if ending == signal.SIGKILL else 0) == code
    assert (ending == signal.SIGKILL) is (folder / "clouds.json").exists()
    assert is_free
