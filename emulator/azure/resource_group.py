"""The resource group: what its deployments have made, and what each resource says of itself."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient

from emulator.azure.bicep import BicepError, Evaluated, Resource, ResourceGroup, evaluate
from emulator.azure.errors import AzureRefusal
from emulator.azure.site import Site, SitePlace

_IDENTITY: Final = "Microsoft.ManagedIdentity/userAssignedIdentities"
_STORAGE: Final = "Microsoft.Storage/storageAccounts"
_QUEUE: Final = "Microsoft.Storage/storageAccounts/queueServices/queues"
_INSIGHTS: Final = "Microsoft.Insights/components"
_SITE: Final = "Microsoft.Web/sites"
_SITE_CONFIG: Final = "Microsoft.Web/sites/config"

WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "Microsoft.Authorization/roleAssignments": "Azurite asks for its key, and for no role",
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials": "nobody signs"
    " in to the local Azure",
    "Microsoft.OperationalInsights/workspaces": "logs are files here",
    "Microsoft.Storage/storageAccounts/blobServices": "packages are not kept in blobs here",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "packages are not kept in blobs"
    " here",
    "Microsoft.Storage/storageAccounts/tableServices": "Azurite has it",
    "Microsoft.Storage/storageAccounts/queueServices": "Azurite has it",
    "Microsoft.Web/serverfarms": "a site has one instance here",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "there is no password to publish by",
}
"""Resource types that are taken and kept, and do nothing on a laptop, each with the reason."""
_SETTINGS: Final = "/appsettings"
_KEY_VAULT_REFERENCE: Final = "@Microsoft.KeyVault("
_SITE_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,58}[A-Za-z0-9])?")
_WITH_EFFECT: Final = frozenset({_IDENTITY, _STORAGE, _QUEUE, _INSIGHTS, _SITE, _SITE_CONFIG})


class Identity(Protocol):
    """A managed identity."""

    @property
    def client_id(self) -> str:
        """Its application's ID."""

    @property
    def object_id(self) -> str:
        """Its service principal's ID."""


class Storage(Protocol):
    """The one storage service behind every storage account."""

    @property
    def blob_url(self) -> str:
        """With the account."""

    @property
    def queue_url(self) -> str:
        """With the account."""

    @property
    def table_url(self) -> str:
        """With the account."""

    @property
    def connection_string(self) -> str:
        """With its key."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A finished deployment."""

    digest: str
    """What its client said of its inputs."""
    outputs: Mapping[str, object]


@dataclass(slots=True)
class LocalResourceGroup:
    """What is deployed, in memory: a start begins with nothing."""

    group: ResourceGroup
    modules: Path
    """The folder of the Bicep modules."""
    add_identity: Callable[[str, str], Identity]
    """Return the identity of that name and resource ID, a new one where there is none."""
    storage: Storage
    place: SitePlace
    deployments: dict[str, Deployed] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    """By their IDs in lower case."""

    async def deploy(
        self, layer: str, module: str, parameters: Mapping[str, object], digest: str
    ) -> Deployed:
        """Make what the module evaluates to, and return how the deployment ended.

        Raises:
            AzureRefusal: the module or a parameter is wrong, or it needs what is not there.

        """
        evaluated = self._evaluate(module, parameters)
        for resource in evaluated.resources:
            self._check(resource)
        for resource in evaluated.resources:
            await self._make(resource)
            self.resources[resource.id.lower()] = resource
        self.deployments[layer] = Deployed(digest, evaluated.outputs)
        return self.deployments[layer]

    def _evaluate(self, module: str, parameters: Mapping[str, object]) -> Evaluated:
        known = {path.stem: path for path in self.modules.glob("*.bicep")}
        module = module.removesuffix(".bicep")
        if module not in known:
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST,
                "module_unknown",
                f"There is no module {module!r}: choose one of {', '.join(sorted(known))}.",
            )
        try:
            return evaluate(known[module], parameters, self._look_up, self.group)
        except BicepError as error:
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST, "deployment_invalid", f"{module}: {error}."
            ) from error

    def _look_up(self, resource: Resource) -> Mapping[str, object]:
        if resource.is_existing and resource.id.lower() not in self.resources:
            raise AzureRefusal(
                HTTPStatus.NOT_FOUND,
                "resource_not_found",
                f"{resource.type} {resource.name} is not there: deploy what makes it first.",
            )
        return {"properties": self._properties_of(resource)}

    def _properties_of(self, resource: Resource) -> Mapping[str, object]:
        match resource.type:
            case "Microsoft.ManagedIdentity/userAssignedIdentities":
                identity = self.add_identity(resource.name, resource.id)
                return {
                    "clientId": identity.client_id,
                    "principalId": identity.object_id,
                    "tenantId": self.group.tenant_id,
                }
            case "Microsoft.Storage/storageAccounts":
                storage = self.storage
                urls = {
                    "blob": storage.blob_url,
                    "queue": storage.queue_url,
                    "table": storage.table_url,
                }
                # As Azure writes them, with a slash at the end.
                return {"primaryEndpoints": {name: f"{url}/" for name, url in urls.items()}}
            case "Microsoft.Insights/components":
                # Port 9 discards (RFC 863); nothing of ours sends there.
                return {
                    "ConnectionString": "InstrumentationKey=00000000-0000-4000-8000-000000000001;"
                    "IngestionEndpoint=http://127.0.0.1:9/"
                }
            case "Microsoft.Web/sites":
                return {"defaultHostName": self._site(resource).url.removeprefix("http://")}
            case _:
                raise AzureRefusal(
                    HTTPStatus.BAD_REQUEST,
                    "state_unknown",
                    f"The local Azure does not know what {resource.type} says of itself.",
                )

    def _check(self, resource: Resource) -> None:
        """Raise unless the local Azure knows what such a resource does."""
        if resource.type not in _WITH_EFFECT and resource.type not in WITHOUT_EFFECT:
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST,
                "resource_type_unknown",
                f"The local Azure has no {resource.type}: leave {resource.name} out locally.",
            )
        if resource.type == _SITE and not _SITE_NAME.fullmatch(resource.name):
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST,
                "site_name_invalid",
                f"{resource.name!r} is no name for a Function App: letters, digits and hyphens.",
            )
        if resource.type == _SITE_CONFIG and resource.name.endswith(_SETTINGS):
            for name, value in _texts(resource.properties).items():
                if value.startswith(_KEY_VAULT_REFERENCE):
                    raise AzureRefusal(
                        HTTPStatus.BAD_REQUEST,
                        "key_vault_not_local",
                        f"The local Azure has no Key Vault: leave {name} out locally.",
                    )
        platform = resource.properties.get("platform")
        if isinstance(platform, Mapping) and platform.get("enabled"):
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST,
                "easy_auth_not_local",
                "The local Azure signs nobody in: set proxy.authentication to function_key.",
            )

    async def _make(self, resource: Resource) -> None:
        match resource.type:
            case "Microsoft.ManagedIdentity/userAssignedIdentities":
                self.add_identity(resource.name, resource.id)
            case "Microsoft.Storage/storageAccounts/queueServices/queues":
                name = resource.name.rpartition("/")[2]
                await asyncio.to_thread(_make_queue, self.storage.connection_string, name)
            case "Microsoft.Web/sites":
                site = self._site(resource)
                site.tags = _texts(resource.body.get("tags"))
            case "Microsoft.Web/sites/config" if resource.name.endswith(_SETTINGS):
                site = self.find_site(resource.name.partition("/")[0])
                await site.configure(_texts(resource.properties))
            case _:
                pass  # kept, and without effect

    def _site(self, resource: Resource) -> Site:
        self._check(resource)
        site = self.sites.get(resource.name.lower())
        if site is None:
            site = Site(resource.name, self.place, {})
            self.sites[resource.name.lower()] = site
        return site

    def find_site(self, name: str) -> Site:
        """Return the site of that name, in any case.

        Raises:
            AzureRefusal: there is none.

        """
        site = self.sites.get(name.lower())
        if site is None:
            raise AzureRefusal(
                HTTPStatus.NOT_FOUND,
                "site_not_found",
                f"There is no Function App {name}: deploy app.bicep first.",
            )
        return site


def _make_queue(connection_string: str, name: str) -> None:
    with QueueClient.from_connection_string(connection_string, name) as queue:
        try:
            queue.create_queue()
        except ResourceExistsError:
            return


def _texts(values: Any) -> dict[str, str]:  # noqa: ANN401 - a member of what Bicep evaluated to
    if not isinstance(values, Mapping):
        return {}
    for name, value in values.items():
        if not isinstance(value, str):
            raise AzureRefusal(
                HTTPStatus.BAD_REQUEST, "deployment_invalid", f"{name} must be a text."
            )
    return dict(values)
