"""The Function App from its package: unpacked, and run with nothing else of ours on the path."""

import asyncio
import json
import shutil
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from bundling.function_app import SITE_PACKAGES, build_function_app, choose_local_platform
from emulator.azurite import Azurite
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.process import (
    FunctionsHostProcess,
    PackageRun,
    start_functions_host,
)
from emulator.stack import LocalStack
from emulator.stack_options import function_app_python
from tests.support.local_stack import CHECKOUT, RECORD_COUNT, running_stack
from tests.support.processes import becomes_true

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

MASTER, FUNCTION = "made-up-master-key", "made-up-function-key"
SETTINGS = {
    "AWS_API_BASE_URL": "http://127.0.0.1:9/local",
    "ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
    "API_CLIENT_ID": "aaaaaaaa-0000-4000-8000-000000000001",
    "SYNC_SCHEDULE": "0 0 0 1 1 *",
}


@pytest.fixture(scope="module")
def package() -> Path:
    """Azure's bytes where this machine runs them, else the same pins built for this machine."""
    return build_function_app(CHECKOUT, platform=choose_local_platform())


@asynccontextmanager
async def running_app(
    folder: Path, unpacked: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[FunctionsHostProcess]:
    """The host around an unpacked package."""
    keys_file = write_keys(folder)
    host = await start_functions_host(
        unpacked,
        function_app_python(CHECKOUT),
        0,
        {**SETTINGS, "SQLITE_PATH": str(folder / "records.sqlite3"), **(settings or {})},
        folder / "host.log",
        kind="emulated",
        package=PackageRun(keys_file, MASTER),
    )
    try:
        yield host
    finally:
        await asyncio.to_thread(host.stop, 5)


def write_keys(folder: Path) -> Path:
    """The file with the app's keys."""
    folder.mkdir(parents=True, exist_ok=True)
    keys_file = folder / "keys.json"
    keys_file.write_text(json.dumps({"master": MASTER, "function": FUNCTION}))
    return keys_file


def unpack(package: Path, into: Path) -> Path:
    """The package's folder, far from the checkout."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(into)
    return into


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's folder, for the tests that leave it as it was."""
    return unpack(package, tmp_path_factory.mktemp("wwwroot"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """What the app calls."""
    async with running_stack(tmp_path_factory.mktemp("bridge")) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def app(
    stack: LocalStack, unpacked: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FunctionsHostProcess]:
    """The app from its package, in the local stack."""
    folder = tmp_path_factory.mktemp("app")
    own = {"SQLITE_PATH": str(folder / "records.sqlite3")}
    async with running_app(folder, unpacked, {**stack.function_settings, **own}) as running:
        yield running


async def ask(
    app: FunctionsHostProcess, method: str, path: str, key: str | None = None
) -> httpx.Response:
    """One request, with a key or without."""
    headers = {} if key is None else {"x-functions-key": key}
    content = b"{}" if method == "POST" else None
    async with httpx.AsyncClient(base_url=app.url, timeout=60) as client:
        return await client.request(method, path, headers=headers, content=content)


async def functions_of(app: FunctionsHostProcess) -> set[str]:
    """The names of the functions that Microsoft's library indexed."""
    listed = await ask(app, "GET", "/admin/functions", MASTER)
    return {function["name"] for function in listed.json()}


async def test_when_the_package_runs_then_its_functions_are_indexed(
    app: FunctionsHostProcess,
) -> None:
    """By Microsoft's worker library of the version that the package pins."""
    assert {"doctor", "health", "http_proxy", "sync_timer"} == await functions_of(app)


async def test_when_the_sync_runs_by_shards_then_theirs_are_indexed_too(
    unpacked: Path, tmp_path: Path, azurite: Azurite
) -> None:
    """Their queue triggers bind, and the queues are looked into."""
    settings = {"SYNC_FAN_OUT": "true", "AzureWebJobsStorage": azurite.connection_string}

    async with running_app(tmp_path, unpacked, settings) as app:
        names = await functions_of(app)

    assert {
        "doctor",
        "health",
        "http_proxy",
        "sync_timer",
        "sync_shard",
        "sync_shards_poison",
    } == names


async def test_when_health_is_asked_then_the_package_answers(app: FunctionsHostProcess) -> None:
    """Without a key: its level is anonymous."""
    answer = await ask(app, "GET", "/api/health")

    assert 200 == answer.status_code


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/api/aws/v1/records/00AA", None, 401),
        ("/api/aws/v1/records/00AA", "wrong", 401),
        ("/api/aws/v1/records/00AA", FUNCTION, 200),
        ("/api/aws/v1/records/00AA", MASTER, 200),
        (f"/api/aws/v1/records/00AA?code={FUNCTION}", None, 200),
        ("/api/doctor", None, 401),
        ("/api/doctor", "wrong", 401),
        ("/api/doctor", FUNCTION, 401),
        ("/api/doctor", MASTER, 200),
        ("/admin/functions", None, 401),
        ("/admin/functions", FUNCTION, 401),
        ("/admin/host/ping", None, 200),
    ],
)
async def test_when_a_caller_shows_a_key_then_it_opens_what_its_level_is_for(
    app: FunctionsHostProcess, path: str, key: str | None, status: int
) -> None:
    """A proxied call goes through token, gateway, authorizer and backend; none without a key."""
    answer = await ask(app, "GET", path, key)

    assert status == answer.status_code


async def test_when_the_sync_runs_then_the_records_are_there(
    app: FunctionsHostProcess,
) -> None:
    """The timer's function, started by the master key."""
    started = await ask(app, "POST", "/admin/functions/sync_timer", MASTER)
    database = app.log_file.parent / "records.sqlite3"

    assert 202 == started.status_code
    assert await asyncio.to_thread(
        becomes_true, lambda: count_records(database) >= RECORD_COUNT, 60
    )


def count_records(database: Path) -> int:
    """How many records the app keeps."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        try:
            (count,) = connection.execute("SELECT count(*) FROM records").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(count)


@pytest.mark.parametrize(
    "missing",
    [
        "shared",
        f"{SITE_PACKAGES}/azure/functions",
        f"{SITE_PACKAGES}/azure_functions_runtime",
        f"{SITE_PACKAGES}/cryptography",
        f"{SITE_PACKAGES}/requests",
        f"{SITE_PACKAGES}/typing_extensions.py",
        f"{SITE_PACKAGES}/httptools",
    ],
)
async def test_when_the_package_lacks_a_part_then_nothing_else_helps_out(
    package: Path, tmp_path: Path, missing: str
) -> None:
    """The host's own environment has each of these, and the checkout has `shared`."""
    unpacked = unpack(package, tmp_path / "wwwroot")
    part = unpacked / missing
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink()
        (part.parent / "__pycache__" / f"{part.stem}.cpython-313.pyc").unlink()

    name = Path(missing).stem
    with pytest.raises(FunctionsHostError, match=f"(?s)ended with code 1.*{name}"):
        async with running_app(tmp_path / "app", unpacked):
            pass


async def test_when_the_package_has_no_dependencies_then_the_host_says_where_they_belong(
    package: Path, tmp_path: Path
) -> None:
    """As a zip of the checkout alone, which waits for a remote build."""
    unpacked = unpack(package, tmp_path / "wwwroot")
    shutil.rmtree(unpacked / ".python_packages")

    with pytest.raises(FunctionsHostError, match=r"\.python_packages/lib/site-packages is missing"):
        async with running_app(tmp_path / "app", unpacked):
            pass


async def test_when_the_package_runs_then_its_folder_stays_as_it_was(
    package: Path, tmp_path: Path
) -> None:
    """In Azure nothing can be written there; bytecode that is missing would be."""
    unpacked = unpack(package, tmp_path / "wwwroot")
    before = {path for path in unpacked.rglob("*") if ".bridge" not in path.parts}

    async with running_app(tmp_path / "app", unpacked) as app:
        await ask(app, "GET", "/api/health")
    after = {path for path in unpacked.rglob("*") if ".bridge" not in path.parts}

    assert before == after
