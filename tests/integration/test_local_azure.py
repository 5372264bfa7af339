"""The local Azure by its interface: what it makes of our Bicep, and what it refuses."""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.storage.queue import QueueServiceClient

from bundling.function_app import build_function_app, choose_local_platform
from emulator.azure.local_azure import LocalAzure
from emulator.azure.settings_overlay import Surroundings
from emulator.azure.site import SitePlace
from emulator.azurite import Azurite
from emulator.stack_options import function_app_python
from tests.support.processes import becomes_true

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

CHECKOUT = Path(__file__).parents[2]
TENANT_ID = "11111111-2222-4333-8444-555555555555"
NAMES = {
    "identityName": "id-bridge-dev",
    "storageAccountName": "stbridgedev123456",
    "planName": "plan-bridge-dev",
    "insightsName": "appi-bridge-dev",
}
FOUNDATION = {**NAMES, "workspaceName": "log-bridge-dev"}
SITE = "func-bridge-dev-123456"
APP = {
    **NAMES,
    "functionAppName": SITE,
    "awsApiBaseUrl": "http://127.0.0.1:9/dev",
    "entraTenantId": TENANT_ID,
    "apiClientId": "aaaaaaaa-0000-4000-8000-000000000001",
    "syncSchedule": "0 0 0 1 1 *",
}


@dataclass(frozen=True)
class MadeUpIdentity:
    """A managed identity without an Entra ID behind it."""

    client_id: str
    object_id: str


def make_identity(name: str, resource_id: str) -> MadeUpIdentity:
    """The same identity for the same name and ID, as Azure has it."""
    client_id, object_id = (
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{resource_id}/{name}/{each}")) for each in "co"
    )
    return MadeUpIdentity(client_id, object_id)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def module_azure(
    tmp_path_factory: pytest.TempPathFactory, azurite: Azurite
) -> AsyncIterator[LocalAzure]:
    """One local Azure for all tests of this module, each with a site of its own or none."""
    folder = tmp_path_factory.mktemp("azure")
    authority = "http://127.0.0.1:9"
    around = Surroundings(
        authority,
        "https://localhost:9",
        "/none",
        f"{authority}/msi",
        "made-up",
        azurite.connection_string,
    )
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    async with LocalAzure.start(
        modules=CHECKOUT / "infra" / "azure",
        place=SitePlace(folder, function_app_python(CHECKOUT), around, lock),
        storage=azurite,
        add_identity=make_identity,
        tenant_id=TENANT_ID,
    ) as azure:
        yield azure
    os.close(lock)


@pytest_asyncio.fixture(loop_scope="module")
async def azure(module_azure: LocalAzure) -> AsyncIterator[httpx.AsyncClient]:
    """Its interface, with nothing deployed."""
    group = module_azure.group
    await asyncio.gather(*(site.stop() for site in group.sites.values()))
    for made in (group.sites, group.deployments, group.tags, group.resources):
        made.clear()
    async with httpx.AsyncClient(base_url=module_azure.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def package() -> bytes:
    """The Function App's package."""
    return build_function_app(CHECKOUT, platform=choose_local_platform()).read_bytes()


async def deploy(
    azure: httpx.AsyncClient, module: str, parameters: dict[str, Any], digest: str = "d"
) -> httpx.Response:
    """One deployment of a module, as the layer of its name."""
    return await azure.put(
        f"/deployments/{module}",
        json={"module": f"{module}.bicep", "parameters": parameters, "digest": digest},
    )


async def publish(azure: httpx.AsyncClient, package: bytes) -> httpx.Response:
    """One publish to the site."""
    return await azure.put(f"/sites/{SITE}/package", content=package)


async def running_site(azure: httpx.AsyncClient, package: bytes) -> dict[str, Any]:
    """The site, deployed and published."""
    assert 200 == (await deploy(azure, "foundation", FOUNDATION)).status_code
    assert 200 == (await deploy(azure, "app", APP)).status_code
    site: dict[str, Any] = (await publish(azure, package)).json()
    return site


async def health(url: str) -> int:
    """What the site says."""
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(f"{url}/api/health")).status_code


def zipped(folder: Path, files: dict[str, str]) -> bytes:
    """A zip file with that content."""
    path = folder / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path.read_bytes()


# --- deployments --------------------------------------------------------------------------------


async def test_when_a_layer_is_deployed_then_digest_and_outputs_are_kept(
    azure: httpx.AsyncClient,
) -> None:
    """From them the next run sees that there is nothing to do."""
    before = await azure.get("/deployments/foundation")
    deployed = await deploy(azure, "foundation", FOUNDATION, "digest-1")
    again = await azure.get("/deployments/foundation")

    assert (404, "deployment_not_found") == (before.status_code, before.json()["code"])
    assert deployed.json() == again.json()
    assert "digest-1" == again.json()["digest"]
    assert "stbridgedev123456" == again.json()["outputs"]["storageAccountName"]
    assert make_identity("id-bridge-dev", again.json()["outputs"]["identityId"]) == MadeUpIdentity(
        again.json()["outputs"]["identityClientId"], again.json()["outputs"]["identityPrincipalId"]
    )


async def test_when_the_app_is_deployed_before_its_foundation_then_it_is_refused(
    azure: httpx.AsyncClient,
) -> None:
    """As Resource Manager refuses what refers to a resource that is not there."""
    refused = await deploy(azure, "app", APP)
    site = await azure.get(f"/sites/{SITE}")

    assert (404, "resource_not_found") == (refused.status_code, refused.json()["code"])
    assert "site_not_found" == site.json()["code"]


@pytest.mark.parametrize(
    ("module", "parameters", "code"),
    [
        ("../aws/template", {}, "module_unknown"),
        ("app", FOUNDATION, "deployment_invalid"),
        ("foundation", {**FOUNDATION, "storageAcountName": "x"}, "deployment_invalid"),
        ("foundation", {**FOUNDATION, "identityName": 7}, "deployment_invalid"),
    ],
)
async def test_when_a_deployment_is_wrong_then_the_code_says_what(
    azure: httpx.AsyncClient, module: str, parameters: dict[str, Any], code: str
) -> None:
    """A module that is none of ours, a parameter that is missing, misspelt, of another type."""
    refused = await azure.put(
        "/deployments/layer",
        json={"module": f"{module}.bicep", "parameters": parameters, "digest": "d"},
    )

    assert (400, code) == (refused.status_code, refused.json()["code"])


@pytest.mark.parametrize(
    ("layer", "body"),
    [
        ("layer", b""),
        ("layer", b"[]"),
        ("layer", b'{"module": "app.bicep"}'),
        ("LAYER", b'{"module": "app.bicep", "parameters": {}, "digest": "d"}'),
    ],
)
async def test_when_a_request_is_malformed_then_it_is_refused(
    azure: httpx.AsyncClient, layer: str, body: bytes
) -> None:
    """A sentence and a code, no traceback."""
    refused = await azure.put(f"/deployments/{layer}", content=body)

    assert (400, "request_invalid") == (refused.status_code, refused.json()["code"])


async def test_when_callers_would_sign_in_by_easy_auth_then_the_deployment_is_refused(
    azure: httpx.AsyncClient,
) -> None:
    """Nobody signs in here, so callers could say that they are anybody."""
    await deploy(azure, "foundation", FOUNDATION)
    signed_in = {"proxyAuthentication": "easy_auth", "proxySignInClientId": APP["apiClientId"]}
    refused = await deploy(azure, "app", {**APP, **signed_in})

    assert "easy_auth_not_local" == refused.json()["code"]


async def test_when_a_setting_would_come_from_a_key_vault_then_the_deployment_is_refused(
    azure: httpx.AsyncClient,
) -> None:
    """The app would take the reference itself for its secret; so nothing of it is made."""
    await deploy(azure, "foundation", FOUNDATION)
    reference = "@Microsoft.KeyVault(VaultName=kv;SecretName=api-key)"
    refused = await deploy(azure, "app", {**APP, "keyVaultName": "kv", "awsApiKey": reference})
    site = (await azure.get(f"/sites/{SITE}")).json()

    assert "key_vault_not_local" == refused.json()["code"]
    assert site.get("state", "without_settings") == "without_settings"


async def test_when_records_are_read_by_shards_then_their_queues_are_there(
    azure: httpx.AsyncClient, azurite: Azurite
) -> None:
    """Made by the deployment, as in Azure, where the app has no right to make them."""
    await deploy(azure, "foundation", FOUNDATION)
    deployed = [await deploy(azure, "app", {**APP, "syncFanOut": "true"}) for _ in range(2)]
    with QueueServiceClient.from_connection_string(azurite.connection_string) as service:
        names = {queue.name for queue in service.list_queues()}

    assert [200, 200] == [each.status_code for each in deployed]
    assert {"sync-shards", "sync-shards-poison"} <= names


async def test_when_a_resource_type_is_new_then_it_is_refused_by_name(
    azure: httpx.AsyncClient, module_azure: LocalAzure, tmp_path: Path
) -> None:
    """What nobody has thought about does not pass for deployed."""
    (tmp_path / "new.bicep").write_text(
        "resource cache 'Microsoft.Cache/redis@2024-11-01' = {\n  name: 'cache'\n}\n"
    )
    modules, module_azure.group.modules = module_azure.group.modules, tmp_path
    try:
        refused = await deploy(azure, "new", {})
    finally:
        module_azure.group.modules = modules

    assert "resource_type_unknown" == refused.json()["code"]
    assert "Microsoft.Cache/redis" in refused.json()["message"]


async def test_when_tags_are_changed_then_the_others_stay(azure: httpx.AsyncClient) -> None:
    """One layer's digest leaves the others' alone; null takes one away."""
    await azure.patch("/tags", json={"bridge-digest-app": "a", "bridge-digest-foundation": "b"})
    await azure.patch("/tags", json={"bridge-digest-app": "c", "bridge-digest-foundation": None})
    wrong = await azure.patch("/tags", json={"bridge-digest-app": 7})
    tags = await azure.get("/tags")

    assert {"bridge-digest-app": "c"} == tags.json()
    assert "request_invalid" == wrong.json()["code"]


async def test_when_a_page_names_loopback_by_a_host_of_its_own_then_it_is_refused(
    module_azure: LocalAzure,
) -> None:
    """DNS rebinding: a browser would send the page's name."""
    port = int(module_azure.url.rpartition(":")[2])

    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/tags", headers={"Host": "rebound.example"})
        status = connection.getresponse().status
        connection.close()
        return status

    assert 403 == await asyncio.to_thread(ask)


# --- the site -----------------------------------------------------------------------------------


async def test_when_nothing_is_published_then_the_site_waits(
    azure: httpx.AsyncClient, package: bytes
) -> None:
    """It starts with the package only, and there is no package without a site."""
    too_early = await publish(azure, package)
    await deploy(azure, "foundation", FOUNDATION)
    await deploy(azure, "app", APP)
    site = (await azure.get(f"/sites/{SITE}")).json()

    assert "site_not_found" == too_early.json()["code"]
    assert ("without_package", None) == (site["state"], site["package_sha256"])


async def test_when_a_package_is_published_then_the_site_runs_it_by_key(
    azure: httpx.AsyncClient, package: bytes
) -> None:
    """Health is open; the proxy asks for the function key, which the local Azure tells."""
    site = await running_site(azure, package)
    keys = (await azure.get(f"/sites/{SITE}/keys")).json()
    async with httpx.AsyncClient(base_url=site["url"], timeout=30) as caller:
        without = await caller.get("/api/aws/v1/records")
        listed = await caller.get("/admin/functions", headers={"x-functions-key": keys["master"]})

    assert "running" == site["state"]
    assert 200 == await health(site["url"])
    assert 401 == without.status_code
    assert {"doctor", "health", "http_proxy", "sync_timer"} == {
        each["name"] for each in listed.json()
    }


async def test_when_nothing_changes_then_the_app_runs_on(
    azure: httpx.AsyncClient, module_azure: LocalAzure, package: bytes
) -> None:
    """A second deployment of the same settings and the same bytes is no restart."""
    await running_site(azure, package)
    await running_site(azure, package)

    assert 1 == module_azure.group.find_site(SITE).starts


async def test_when_a_setting_changes_then_the_app_starts_again_at_its_address(
    azure: httpx.AsyncClient, module_azure: LocalAzure, package: bytes
) -> None:
    """As in Azure, where settings are a part of the environment."""
    before = await running_site(azure, package)
    await deploy(azure, "app", {**APP, "syncPageSize": "7"})
    after = (await azure.get(f"/sites/{SITE}")).json()
    site = module_azure.group.find_site(SITE)

    assert (2, "7") == (site.starts, (site.settings or {})["SYNC_PAGE_SIZE"])
    assert (before["url"], "running") == (after["url"], after["state"])


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"function_app.py": ""}, "package_without_host_json"),
        ({"host.json": "{}", "../outside": ""}, "package_unsafe"),
        (None, "package_damaged"),
    ],
)
async def test_when_a_package_is_none_then_the_app_runs_on(
    azure: httpx.AsyncClient,
    module_azure: LocalAzure,
    package: bytes,
    tmp_path: Path,
    files: dict[str, str] | None,
    code: str,
) -> None:
    """Without host.json, leading out of its folder, cut off in the middle."""
    before = await running_site(azure, package)
    wrong = package[: len(package) // 2] if files is None else zipped(tmp_path, files)
    refused = await publish(azure, wrong)
    after = (await azure.get(f"/sites/{SITE}")).json()

    assert (400, code) == (refused.status_code, refused.json()["code"])
    assert before == after
    assert 200 == await health(after["url"])
    assert [] == list((module_azure.group.place.folder / "uploads").iterdir())


async def test_when_the_app_does_not_start_then_the_site_says_why_and_the_next_heals_it(
    azure: httpx.AsyncClient, package: bytes, tmp_path: Path
) -> None:
    """As in Azure, a package that is one replaces the running app, right or wrong."""
    await running_site(azure, package)
    broken = zipped(
        tmp_path, {"host.json": '{"version": "2.0"}', "function_app.py": "import shared"}
    )
    failed = (await publish(azure, broken)).json()
    healed = (await publish(azure, package)).json()

    assert "failed" == failed["state"]
    assert "site-packages is missing" in failed["problem"]
    assert ("running", None) == (healed["state"], healed["problem"])


async def test_when_the_app_dies_then_the_site_says_so_and_a_deployment_starts_it(
    azure: httpx.AsyncClient, module_azure: LocalAzure, package: bytes
) -> None:
    """The state is the process's, and not what was last heard of it."""
    await running_site(azure, package)
    host = module_azure.group.find_site(SITE)._host
    assert host is not None
    await asyncio.to_thread(host.stop, 5)
    dead = (await azure.get(f"/sites/{SITE}")).json()
    await deploy(azure, "app", APP)
    alive = (await azure.get(f"/sites/{SITE}")).json()

    assert ("failed", "running") == (dead["state"], alive["state"])


HALF_AN_UPLOAD = """
import http.client, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.putrequest("PUT", sys.argv[2])
connection.putheader("Content-Length", "10000000")
connection.endheaders()
connection.send(bytes(1_000_000))
print("half", flush=True)
time.sleep(60)
"""


async def test_when_the_publisher_is_killed_then_the_app_runs_on_and_the_next_upload_passes(
    azure: httpx.AsyncClient, module_azure: LocalAzure, package: bytes
) -> None:
    """Kill -9 in the middle of an upload leaves nothing behind, and nothing locked."""
    before = await running_site(azure, package)
    port = module_azure.url.rpartition(":")[2]
    uploads = module_azure.group.place.folder / "uploads"
    publisher = subprocess.Popen(  # noqa: ASYNC220 - the client to kill
        [sys.executable, "-c", HALF_AN_UPLOAD, port, f"/sites/{SITE}/package"],
        stdout=subprocess.PIPE,
    )
    assert publisher.stdout is not None
    with publisher.stdout:
        await asyncio.to_thread(publisher.stdout.readline)
    was_arriving = await asyncio.to_thread(becomes_true, lambda: list(uploads.iterdir()) != [])
    publisher.send_signal(signal.SIGKILL)
    publisher.wait()

    assert was_arriving
    assert await asyncio.to_thread(becomes_true, lambda: list(uploads.iterdir()) == [])
    assert before == (await azure.get(f"/sites/{SITE}")).json()
    assert 200 == (await publish(azure, package)).status_code


async def test_when_a_client_goes_away_then_its_deployment_goes_on(
    azure: httpx.AsyncClient, module_azure: LocalAzure, package: bytes
) -> None:
    """The next run of the deployment finds it done, as in Azure."""
    await running_site(azure, package)
    with pytest.raises(httpx.ReadTimeout):
        await azure.put(
            "/deployments/app",
            json={
                "module": "app.bicep",
                "parameters": {**APP, "syncPageSize": "9"},
                "digest": "d9",
            },
            timeout=0.2,
        )
    give_up_at = time.monotonic() + 30  # noqa: TID251 - real processes take real time
    while (await azure.get("/deployments/app")).json()["digest"] != "d9":
        assert time.monotonic() < give_up_at  # noqa: TID251 - as above
        await asyncio.sleep(0.05)

    assert "running" == module_azure.group.find_site(SITE).state
