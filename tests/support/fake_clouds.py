"""Both clouds in memory, for tests of what a rollout does with them; they keep what they are told.

Each may be told to refuse, or to end the process at one of its calls, before or after its effect.
"""

import itertools
from collections.abc import Callable, Mapping
from copy import replace
from dataclasses import dataclass, field
from pathlib import Path

from deployment.bridge_file import Environment
from deployment.clouds import (
    Clouds,
    DeployedLayer,
    Packages,
    Registration,
    Report,
    SmokeResult,
    Stack,
    StackDeployment,
)
from deployment.parameters.bicep_parameters import Layer, Parameters

IDENTITY = "00000000-0000-4000-8000-00000000000a"
PRINCIPAL = "00000000-0000-4000-8000-00000000000b"
API = "00000000-0000-4000-8000-00000000000c"
DEFAULT_URL = "https://abc123.execute-api.eu-west-1.amazonaws.com/dev"
OUTPUTS: Mapping[Layer, Mapping[str, str]] = {
    Layer.FOUNDATION: {
        "identityClientId": IDENTITY,
        "identityPrincipalId": PRINCIPAL,
        "subnetId": "",
    },
    Layer.APP: {"functionAppName": "func", "defaultHostName": "func.azurewebsites.net"},
    Layer.GITHUB: {"githubClientId": IDENTITY},
}


class Killed(BaseException):
    """The process is ended here, as by kill -9: nothing of ours runs any more."""


@dataclass
class FakeClouds:
    """All of them."""

    package: Path
    calls: list[str] = field(default_factory=list)
    """Each call that changes something, in order."""
    raising: dict[str, Exception] = field(default_factory=dict)
    """What the call of a name raises."""
    kill_at: int = 0
    """The how-manieth change the process is ended at; 0 for never."""
    kills_before: bool = False
    layers: dict[Layer, DeployedLayer] = field(default_factory=dict)
    given: dict[Layer, Parameters] = field(default_factory=dict)
    stacks: dict[str, Stack] = field(default_factory=dict)
    published: str | None = None
    registered: bool = False
    notices: tuple[str, ...] = ()
    lacks_role: bool = True
    provider: str = ""
    bundles: str = "bundles-1"
    packages: str = ""
    """The release that was asked for."""
    smoke_code: int = 0
    smoke_findings: tuple[str, ...] = ()
    lets_others_in: bool = False

    def all(self) -> Clouds:
        """Return them as a rollout takes them."""
        return Clouds(_Azure(self), _Aws(self), _Entra(self), _Builder(self), _Smoke(self))

    def change(self, name: str, effect: Callable[[], None]) -> None:
        """Have an effect, unless the call is to be refused or the process ends before it."""
        self.look(name)
        is_last = len(self.calls) + 1 == self.kill_at
        if is_last and self.kills_before:
            raise Killed
        effect()
        self.calls.append(name)
        if is_last:
            raise Killed

    def look(self, name: str) -> None:
        """Raise what the call of this name is to raise."""
        if name in self.raising:
            raise self.raising[name]


@dataclass
class _Azure:
    world: FakeClouds

    def sign_in(self) -> str:
        self.world.look("azure sign-in")
        return "somebody@example.com"

    def find_layer(self, layer: Layer) -> DeployedLayer | None:
        self.world.look(f"find {layer}")
        return self.world.layers.get(layer)

    def deploy_layer(
        self, layer: Layer, parameters: Parameters, digest: str, report: Report
    ) -> Mapping[str, str]:
        report(f"deploying {layer}")

        def effect() -> None:
            self.world.layers[layer] = DeployedLayer(digest, OUTPUTS[layer])
            self.world.given[layer] = parameters

        self.world.change(f"deploy {layer}", effect)
        return OUTPUTS[layer]

    def find_package(self) -> str | None:
        return self.world.published

    def publish(self, package: Path, digest: str, report: Report) -> None:
        report(f"publishing {package.name}")

        def effect() -> None:
            self.world.published = digest

        self.world.change("publish", effect)


@dataclass
class _Aws:
    world: FakeClouds
    ids: "itertools.count[int]" = field(default_factory=itertools.count)

    def sign_in(self) -> str:
        self.world.look("aws sign-in")
        return "somebody"

    def lacks_log_role(self) -> bool:
        self.world.look("log role")
        return self.world.lacks_role

    def github_provider(self) -> str:
        return self.world.provider

    def find_stack(self, name: str) -> Stack | None:
        self.world.look("find stack")
        return self.world.stacks.get(name)

    def deploy_stack(self, deployment: StackDeployment, report: Report) -> Stack:
        report(f"deploying {deployment.name}")
        outputs = {"DefaultUrl": DEFAULT_URL, "DeployRoleArn": "arn:aws:iam::1:role/x"}
        stack = Stack("UPDATE_COMPLETE", deployment.parameters, outputs, deployment.digest)

        def effect() -> None:
            self.world.stacks[deployment.name] = stack
            # The account has the role from now on.
            self.world.lacks_role = False

        self.world.change(f"deploy {deployment.name}", effect)
        return stack


@dataclass
class _Entra:
    world: FakeClouds

    def inspect(self, environment: Environment, identity_principal_id: str) -> Registration:
        self.world.look("inspect")
        assert environment.entra.tenant_id
        assert identity_principal_id == PRINCIPAL
        if self.world.registered:
            return Registration(API, (), self.world.notices)
        return Registration("", ("missing",))

    def apply(
        self, environment: Environment, identity_principal_id: str, report: Report
    ) -> Registration:
        report("granting")

        def effect() -> None:
            self.world.registered = True

        self.world.change("grant", effect)
        return self.inspect(environment, identity_principal_id)


@dataclass
class _Builder:
    world: FakeClouds

    def build(self, report: Report) -> Packages:
        self.world.look("build")
        report("building")
        return Packages(self.world.package, self.world.bundles)


@dataclass
class _Smoke:
    world: FakeClouds

    def run(self, api_url: str, api_client_id: str, proxy_url: str, report: Report) -> SmokeResult:
        report("trying")
        tried = f"{api_url} {api_client_id} {proxy_url}"
        world = self.world
        return SmokeResult(
            world.smoke_code, tried, world.smoke_findings, lets_others_in=world.lets_others_in
        )


def revived(world: FakeClouds) -> FakeClouds:
    """Return the same clouds for the next run, which nothing ends."""
    return replace(world, calls=[], kill_at=0)
