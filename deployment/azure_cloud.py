"""Azure by its own command line, `az`, with the sign-in of whoever runs us.

What was deployed is remembered in Azure: the resource group's tag `bridge-digest-<layer>` holds the
digest of what a layer was deployed from, and the ID of that very deployment. A later deployment of
the layer, ours or by hand, whole or broken off, has another ID, so the tag says nothing any more.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deployment.bridge_file import Environment
from deployment.clouds import DeployedLayer, Report
from deployment.errors import BusyError, NotSignedIn, ProgramError, SignedInElsewhere
from deployment.lines import azure_lines
from deployment.lines.line import Line
from deployment.parameters.bicep_parameters import Layer, Parameters
from deployment.programs.programs import Completed, Programs
from deployment.programs.refusals import is_not_found, refusal
from deployment.steps.azure_steps import (
    PACKAGE_SECONDS,
    PACKAGE_TAG,
    deployment_name,
    digest_tag,
    parameters_path,
    parameters_text,
)
from deployment.steps.step import Context

_LOOK_SECONDS: Final = 120.0
_DEPLOY_SECONDS: Final = 3600.0
_ID_DIGITS: Final = 12
_NOT_FOUND: Final = (
    "ResourceGroupNotFound",
    "ResourceNotFound",
    "DeploymentNotFound",
    "could not be found",
    "was not found",
)
_NO_SUBSCRIPTION: Final = ("doesn't exist in cloud", "not found", "was not found")
_UNDER_WAY: Final = frozenset({"Running", "Accepted", "Creating", "Updating", "Deleting"})
_PUBLISHING: Final = "publishing"
_LISTED: Final = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/(?!Microsoft\.Authorization/)[^/]+/[^/]+/[^/]+",
    re.IGNORECASE,
)
"""The ID of a resource that a resource group lists: no part of another one, and no right to one."""


@dataclass(frozen=True, slots=True)
class AzureCli:
    """Azure as an environment's deployer reaches it."""

    environment: Environment
    context: Context
    programs: Programs

    def sign_in(self) -> str:
        """Return who is signed in; `AzureCloud` says what is raised."""
        environment = self.environment
        line = azure_lines.account_show(environment)
        done = self.programs.run(line, timeout=_LOOK_SECONDS)
        tenant, subscription = environment.entra.tenant_id, environment.azure.subscription_id
        if done.exit_code and any(sign in done.stderr for sign in _NO_SUBSCRIPTION):
            raise SignedInElsewhere(
                "azure_other_subscription",
                f"The Azure sign-in does not reach the subscription {subscription}: run"
                f" `az login --tenant {tenant}` as somebody with a role there.",
            )
        if done.exit_code:
            raise NotSignedIn(
                "azure_sign_in_needed",
                f"Nobody is signed in to Azure: run `az login --tenant {tenant}`.",
            )
        account = _read_json(done, line)
        if str(account.get("tenantId", "")).lower() != tenant:
            raise SignedInElsewhere(
                "azure_other_tenant",
                f"The Azure sign-in is to the tenant {account.get('tenantId')}, and bridge.toml"
                f" names {tenant}: run `az login --tenant {tenant}`.",
            )
        user = account.get("user") or {}
        return str(user.get("name", "somebody"))

    def find_layer(self, layer: Layer) -> DeployedLayer | None:
        """Return the layer as it was last deployed; `AzureCloud` says what is raised."""
        group = self._look(azure_lines.group_show(self.environment, self.context.names))
        if group is None:
            return None
        deployed = self._look(self._deployment_line(layer))
        if deployed is None:
            return None
        properties = _properties_of(deployed)
        state = properties.get("provisioningState")
        if state in _UNDER_WAY:
            raise BusyError(
                "azure_busy",
                f"Somebody else, or an earlier run, is deploying the layer {layer} at the moment"
                f" ({state}): wait until that has ended, and run the same command again.",
            )
        digest, _dot, deployment_id = _tags(group).get(digest_tag(layer), "").partition(".")
        is_that_one = state == "Succeeded" and deployment_id == _short_id(properties)
        is_whole = is_that_one and self._are_there(_resources(properties))
        return DeployedLayer(digest if is_whole else None, _outputs(properties))

    def deploy_layer(
        self, layer: Layer, parameters: Parameters, digest: str, report: Report
    ) -> Mapping[str, str]:
        """Deploy the layer and return its outputs; `AzureCloud` says what is raised."""
        environment, names = self.environment, self.context.names
        if self._look(azure_lines.group_show(environment, names)) is None:
            report(f"making the resource group {names.resource_group}")
            self._run(azure_lines.group_create(environment, names), "making the resource group")
        path = parameters_path(self.context, layer)
        self.programs.write(path, parameters_text(parameters))
        line = azure_lines.deployment_create(
            environment, names, deployment_name(layer), layer.module, path
        )
        properties = _properties_of(
            self._run(line, f"deploying {layer.module}", _DEPLOY_SECONDS, report)
        )
        group = azure_lines.group_id(environment, names)
        self._tag(group, digest_tag(layer), f"{digest}.{_short_id(properties)}")
        return _outputs(properties)

    def find_package(self) -> str | None:
        """Return the published package's digest; `AzureCloud` says what is raised."""
        site = self._look(azure_lines.site_show(self.environment, self.context.names))
        digest = _tags(site or {}).get(PACKAGE_TAG)
        return None if digest in {None, _PUBLISHING} else str(digest)

    def publish(self, package: Path, digest: str, report: Report) -> None:
        """Publish the package as it is; `AzureCloud` says what is raised."""
        environment, names = self.environment, self.context.names
        site = azure_lines.site_id(environment, names)
        # A publication that is broken off may go on in Azure: the old digest must not stand then.
        self._tag(site, PACKAGE_TAG, _PUBLISHING)
        path = str(package.relative_to(self.programs.folder))
        line = azure_lines.publish(environment, names, path, PACKAGE_SECONDS)
        done = self.programs.run(line, timeout=_DEPLOY_SECONDS, report=report)
        if done.exit_code:
            raise refusal(done, "publishing the package", cloud="azure")
        self._tag(site, PACKAGE_TAG, digest)

    def _are_there(self, resources: frozenset[str]) -> bool:
        """Return whether nobody has deleted one of them; a deployment does not notice that."""
        line = azure_lines.resource_list(self.environment, self.context.names)
        done = self.programs.run(line, timeout=_LOOK_SECONDS)
        if done.exit_code:
            raise refusal(done, "listing what is in the resource group", cloud="azure")
        listed = _read(done, line, list)
        return resources <= {str(each).lower() for each in listed}

    def _deployment_line(self, layer: Layer) -> Line:
        return azure_lines.deployment_show(
            self.environment, self.context.names, deployment_name(layer)
        )

    def _tag(self, resource_id: str, tag: str, value: str) -> None:
        line = azure_lines.tag_merge(self.environment, resource_id, tag, value)
        self._run(line, f"setting the tag {tag}")

    def _look(self, line: Line) -> dict[str, Any] | None:
        done = self.programs.run(line, timeout=_LOOK_SECONDS)
        if is_not_found(done, _NOT_FOUND):
            return None
        if done.exit_code:
            raise refusal(done, " ".join(line.argv[1:4]), cloud="azure")
        return _read_json(done, line)

    def _run(
        self,
        line: Line,
        doing: str,
        timeout: float = _LOOK_SECONDS,
        report: Report = lambda _line: None,
    ) -> dict[str, Any]:
        # On standard output is the answer, in JSON, which is no news for a person.
        done = self.programs.run(line, timeout=timeout, report=report, tells_output=False)
        if done.exit_code:
            raise refusal(done, doing, cloud="azure")
        return _read_json(done, line)


def _short_id(properties: Mapping[str, Any]) -> str:
    correlation = str(properties.get("correlationId", ""))
    return hashlib.sha256(correlation.encode()).hexdigest()[:_ID_DIGITS]


def _properties_of(deployed: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = deployed.get("properties")
    if not isinstance(properties, dict):
        raise ProgramError(
            "azure_answer_unreadable", "What `az deployment group` printed is no deployment."
        )
    return properties


def _tags(resource: Mapping[str, Any]) -> Mapping[str, str]:
    tags = resource.get("tags")
    return {name: str(tag) for name, tag in tags.items()} if isinstance(tags, dict) else {}


def _outputs(properties: Mapping[str, Any]) -> dict[str, str]:
    outputs = properties.get("outputs")
    given = outputs if isinstance(outputs, dict) else {}
    return {
        name: str(output["value"])
        for name, output in given.items()
        if isinstance(output, dict) and "value" in output
    }


def _resources(properties: Mapping[str, Any]) -> frozenset[str]:
    """Return in small letters the IDs of what a deployment made and a resource group lists."""
    made = properties.get("outputResources")
    ids = [str(each.get("id")) for each in made or () if isinstance(each, dict)]
    return frozenset(found.lower() for found in ids if _LISTED.fullmatch(found))


def _read_json(done: Completed, line: Line) -> dict[str, Any]:
    return _read(done, line, dict)


def _read[T](done: Completed, line: Line, kind: type[T]) -> T:
    try:
        answer = json.loads(done.stdout)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, kind):
        raise ProgramError(
            "azure_answer_unreadable",
            f"What `{' '.join(line.argv[:4])}` printed is no such JSON: is `az` the Azure CLI?",
        )
    return answer
