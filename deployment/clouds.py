"""What a rollout asks of the clouds. The real ones, the local ones and a test's answer alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployment.bridge_file import Environment
from deployment.parameters.bicep_parameters import Layer, Parameters

type Report = Callable[[str], None]
"""Told what is going on, a line at a time."""


@dataclass(frozen=True, slots=True)
class DeployedLayer:
    """A Bicep module as it was last deployed."""

    digest: str | None
    """The digest of what was deployed; None if the deployment was not ours or did not end well."""
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stack:
    """A CloudFormation stack."""

    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    digest: str = ""
    """The tag `bridge-digest`, of a stack whose parameters have no place for one."""

    @property
    def is_complete(self) -> bool:
        """Whether it is as it was last told to be."""
        return self.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@dataclass(frozen=True, slots=True)
class StackDeployment:
    """What a stack is to be deployed from."""

    name: str
    template: str
    """From the checkout: what `sam build` left, or a template that needs no build."""
    parameters: Mapping[str, str]
    capability: str
    digest: str = ""
    """Kept as a tag where it is given."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The API's registration as Entra ID has it."""

    api_client_id: str
    """Empty while there is none."""
    differences: tuple[str, ...]
    """What is not as it should be, one sentence each."""
    notices: tuple[str, ...] = ()
    """What is left as it is although nobody asked for it, such as who else may call."""


@dataclass(frozen=True, slots=True)
class Packages:
    """What was built on this machine."""

    function_app: Path
    bundles_digest: str
    """Of the Lambdas' bundles."""


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """What `bridge smoke` found."""

    exit_code: int
    summary: str
    findings: tuple[str, ...] = ()
    """One sentence for each check that did not pass: what came, and what to change."""
    lets_others_in: bool = False
    """Whether somebody got in who must not."""


class AzureCloud(Protocol):
    """Azure, as whoever is signed in sees it.

    Each method raises RightsMissing where this sign-in may not do it, BusyError while somebody
    else deploys, and another DeploymentError for what failed.
    """

    def sign_in(self) -> str:
        """Return who is signed in.

        Raises:
            NotSignedIn: nobody is.
            SignedInElsewhere: to another tenant, or without the subscription.

        """

    def find_layer(self, layer: Layer) -> DeployedLayer | None:
        """Return the layer as it was last deployed, or None if it never was."""

    def deploy_layer(
        self, layer: Layer, parameters: Parameters, digest: str, report: Report
    ) -> Mapping[str, str]:
        """Deploy the layer, keep the digest with it, and return its outputs."""

    def find_package(self) -> str | None:
        """Return the digest of the published package, or None if there is none of ours."""

    def publish(self, package: Path, digest: str, report: Report) -> None:
        """Publish the package as it is, and keep the digest with the Function App."""


class AwsCloud(Protocol):
    """AWS, as whoever is signed in sees it; errors as for AzureCloud."""

    def sign_in(self) -> str:
        """Return who is signed in.

        Raises:
            NotSignedIn: nobody is.
            SignedInElsewhere: to another account.

        """

    def lacks_log_role(self) -> bool:
        """Return whether API Gateway has no role yet to write logs with."""

    def github_provider(self) -> str:
        """Return the ARN of GitHub's identity provider in the account; empty if there is none."""

    def find_stack(self, name: str) -> Stack | None:
        """Return the stack, or None if there is none."""

    def deploy_stack(self, deployment: StackDeployment, report: Report) -> Stack:
        """Create or update the stack, and return it as it is then."""


class EntraTenant(Protocol):
    """The tenant, as whoever is signed in sees it.

    Each method raises RightsMissing or NotSignedIn where this sign-in may not do it.
    """

    def inspect(self, environment: Environment, identity_principal_id: str) -> Registration:
        """Return the registration as it is, and what differs from what it should be."""

    def apply(
        self, environment: Environment, identity_principal_id: str, report: Report
    ) -> Registration:
        """Change what differs, and return the registration as it is then."""


class PackageBuilder(Protocol):
    """Builds what each cloud gets."""

    def build(self, report: Report) -> Packages:
        """Return what was built, which is the same bytes for the same sources."""


class SmokeTest(Protocol):
    """Tries what was deployed."""

    def run(self, api_url: str, api_client_id: str, proxy_url: str, report: Report) -> SmokeResult:
        """Return what the checks found."""


@dataclass(frozen=True, slots=True)
class Clouds:
    """All that a rollout works with."""

    azure: AzureCloud
    aws: AwsCloud
    entra: EntraTenant
    packages: PackageBuilder
    smoke: SmokeTest
