"""The local AWS for a test run: one MiniStack, and stacks of the project's own template on it."""

import itertools
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bundling.bundles import RECIPES
from emulator.aws.deployment import Deployment, deploy
from emulator.aws.local_bundles import BOOTSTRAP, Bundles
from emulator.aws.ministack import Ministack, MinistackPrograms
from shared.clock import SystemClock

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "infra" / "aws" / "template.yaml"
PROBE = Path(__file__).with_name("gateway_probe")

PARAMETERS = {
    "EntraTenantId": "11111111-1111-4111-8111-111111111111",
    "ApiClientId": "22222222-2222-4222-8222-222222222222",
    "ApiAppIdUri": "api://22222222-2222-4222-8222-222222222222",
    "AllowedClientIds": "33333333-3333-4333-8333-333333333333",
    "ThrottleRate": "10000",
    "ThrottleBurst": "10000",
}
"""What a stack needs to deploy; no probe reads it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer of the gateway."""

    status: int
    headers: Mapping[str, str]
    """Its headers, names in lower case."""
    body: str

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class ProbedStack:
    """A stack whose functions are probes."""

    ministack: Ministack
    deployment: Deployment
    _numbers: Iterator[int]

    def call(
        self,
        path: str = "/v1/records",
        *,
        token: str | None = None,
        method: str = "GET",
        stage: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request to the API; `token` becomes a bearer credential."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        base = self.deployment.api_url
        if stage is not None:
            base = f"{base.removesuffix(self.deployment.stage)}{stage}"
        url = urlsplit(base + path)
        connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
        try:
            connection.request(method, url.path, headers=sent)
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        lower_headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, lower_headers, body)

    def token(self, behavior: str) -> str:
        """A token that nobody has sent yet, for one behavior of the probe authorizer."""
        return f"probe{next(self._numbers)}.{behavior}.signature"

    def authorizer_calls(self, token: str) -> int:
        """How often the authorizer has been asked about the token."""
        log = self.ministack.lambda_log_file.read_text("utf-8")
        return log.count(f"authorizer called with Bearer {token}\n")


type DeployProbes = Callable[..., ProbedStack]


def build_probe_bundles(folder: Path) -> Bundles:
    """One zip file with every probe in it, for each function of the template."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / "probe.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        for file in sorted(PROBE.rglob("*.py")):
            archive.write(file, file.relative_to(PROBE))
        archive.writestr("bootstrap", BOOTSTRAP)
    return dict.fromkeys(RECIPES, bundle)


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """A MiniStack with nothing deployed at first."""
    folder = tmp_path_factory.mktemp("ministack")
    programs = MinistackPrograms.under(ROOT / ".tools")
    running = Ministack.start(programs, folder, clock=SystemClock(), sleep=time.sleep)
    yield running
    running.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def deploy_probes(ministack: Ministack, tmp_path_factory: pytest.TempPathFactory) -> DeployProbes:
    """Deploys the project's template with probes for functions; takes parameters to change."""
    bundles = build_probe_bundles(tmp_path_factory.mktemp("probes"))
    numbers = itertools.count(1)

    def deploy_with(stack_name: str, **changed: str) -> ProbedStack:
        deployment = deploy(
            ministack.endpoint_url,
            TEMPLATE,
            bundles,
            PARAMETERS | changed,
            "http://127.0.0.1:9",
            clock=SystemClock(),
            sleep=time.sleep,
            stack_name=stack_name,
        )
        return ProbedStack(ministack, deployment, numbers)

    return deploy_with


@pytest.fixture(scope="session")
def probed_stack(deploy_probes: DeployProbes) -> ProbedStack:
    """The template as it is, answers cached for its default time, with probes for functions."""
    return deploy_probes("probes")
