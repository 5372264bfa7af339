"""What Azure has as properties, types and API versions, as far as the Bicep modules use them.

Of `Microsoft.Web` it is Microsoft's own types that know; of the rest a table of ours, made by
Microsoft's Bicep types.
"""

import re
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

import azure.mgmt.web.models as web_models
import azure.mgmt.web.types as web_types

from emulator.azure.bicep import Resource

_WEB_ROOTS: Final[Mapping[str, type]] = {
    "Microsoft.Web/serverfarms": web_types.AppServicePlan,
    "Microsoft.Web/sites": web_types.Site,
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (
        web_types.CsmPublishingCredentialsPoliciesEntity
    ),
    "Microsoft.Web/sites/config appsettings": web_types.StringDictionary,
    "Microsoft.Web/sites/config authsettingsV2": web_types.SiteAuthSettingsV2,
}
# The enumerations are in `models` only; what is in both is wanted as it is in `types`.
_NAMES: Final = {**vars(web_models), **vars(web_types)}

ANY: Final = None
"""Stands for a value of which nothing is known but where it may stand."""
_TRACKED: Final = {"location": ANY, "tags": ANY}
_STORAGE: Final = {
    "accessTier": {"Hot", "Cool", "Cold", "Premium"},
    "allowBlobPublicAccess": bool,
    "allowCrossTenantReplication": bool,
    "allowSharedKeyAccess": bool,
    "defaultToOAuthAuthentication": bool,
    "minimumTlsVersion": {"TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"},
    "publicNetworkAccess": {"Enabled", "Disabled", "SecuredByPerimeter"},
    "supportsHttpsTrafficOnly": bool,
    "networkAcls": {
        "bypass": {"None", "Logging", "Metrics", "AzureServices"},
        "defaultAction": {"Allow", "Deny"},
    },
}
_RETENTION: Final = {"enabled": bool, "days": int}
_SUBNET: Final = {
    "name": str,
    "properties": {
        "addressPrefix": str,
        "delegations": [{"name": str, "properties": {"serviceName": str}}],
        "privateEndpointNetworkPolicies": {"Enabled", "Disabled"},
    },
}
_OTHERS: Final[Mapping[str, Any]] = {
    "Microsoft.Authorization/roleAssignments": {
        "properties": {
            "principalId": str,
            "principalType": {"Device", "ForeignGroup", "Group", "ServicePrincipal", "User"},
            "roleDefinitionId": str,
            "condition": str,
            "conditionVersion": {"2.0"},
        }
    },
    "Microsoft.Insights/components": {
        **_TRACKED,
        "kind": str,
        "properties": {
            "Application_Type": {"web", "other"},
            "WorkspaceResourceId": str,
            "DisableLocalAuth": bool,
        },
    },
    "Microsoft.ManagedIdentity/userAssignedIdentities": _TRACKED,
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials": {
        "properties": {"issuer": str, "subject": str, "audiences": [str]}
    },
    "Microsoft.Network/privateDnsZones": _TRACKED,
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": {
        **_TRACKED,
        "properties": {"registrationEnabled": bool, "virtualNetwork": {"id": str}},
    },
    "Microsoft.Network/privateEndpoints": {
        **_TRACKED,
        "properties": {
            "subnet": {"id": str},
            "privateLinkServiceConnections": [
                {"name": str, "properties": {"privateLinkServiceId": str, "groupIds": [str]}}
            ],
        },
    },
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": {
        "properties": {
            "privateDnsZoneConfigs": [{"name": str, "properties": {"privateDnsZoneId": str}}]
        }
    },
    "Microsoft.Network/virtualNetworks": {
        **_TRACKED,
        "properties": {"addressSpace": {"addressPrefixes": [str]}, "subnets": [_SUBNET]},
    },
    "Microsoft.OperationalInsights/workspaces": {
        **_TRACKED,
        "properties": {
            "sku": {"name": {"PerGB2018", "CapacityReservation"}},
            "retentionInDays": int,
            "features": {
                "enableLogAccessUsingOnlyResourcePermissions": bool,
                "disableLocalAuth": bool,
            },
        },
    },
    "Microsoft.Storage/storageAccounts": {
        **_TRACKED,
        "kind": {"StorageV2"},
        "sku": {"name": {"Standard_LRS", "Standard_ZRS"}},
        "properties": _STORAGE,
    },
    "Microsoft.Storage/storageAccounts/blobServices": {
        "properties": {
            "deleteRetentionPolicy": _RETENTION,
            "containerDeleteRetentionPolicy": _RETENTION,
        }
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {
        "properties": {"publicAccess": {"None", "Blob", "Container"}}
    },
    "Microsoft.Storage/storageAccounts/queueServices/queues": {},
}
"""What of other types the modules may say, as in Microsoft's Bicep types of these versions."""
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "Microsoft.Authorization/roleAssignments": ("principalId", "roleDefinitionId"),
    "Microsoft.Insights/components": ("Application_Type",),
}
API_VERSIONS: Final[Mapping[str, str]] = {
    "Microsoft.Authorization": "2022-04-01",
    "Microsoft.Insights": "2020-02-02",
    "Microsoft.KeyVault": "2024-11-01",
    "Microsoft.ManagedIdentity": "2024-11-30",
    "Microsoft.Network/privateDnsZones": "2024-06-01",
    "Microsoft.Network": "2024-07-01",
    "Microsoft.OperationalInsights": "2025-07-01",
    "Microsoft.Storage": "2025-06-01",
    "Microsoft.Web": "2025-03-01",
}
"""The newest stable version of each provider's types, or type's, that the Bicep compiler knows."""


def find_problems(resource: Resource) -> list[str]:
    """Return what in the resource Azure does not have: a line for each property."""
    kind = resource.type
    if kind == "Microsoft.Web/sites/config":
        kind += f" {resource.name.rpartition('/')[2]}"
    if kind in _WEB_ROOTS:
        return list(_against_hint(resource.body, _WEB_ROOTS[kind], resource.symbol))
    if kind not in _OTHERS:
        return [f"{resource.symbol}: the type {kind} is not known"]
    missing = [
        f"{resource.symbol}.properties.{name}: is missing"
        for name in _REQUIRED.get(kind, ())
        if name not in resource.properties
    ]
    return [*missing, *_against_table(resource.body, _OTHERS[kind], resource.symbol)]


def _against_hint(value: Any, hint: Any, place: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        # Resource Manager takes it for a property that is not there.
        return
    if origin is typing.Union:
        yield from _against_union(value, arguments, place)
    elif typing.is_typeddict(hint):
        yield from _against_typed_dict(value, hint, place)
    elif origin is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _against_hint(item, arguments[0], f"{place}[{index}]")
    elif origin is dict and isinstance(value, Mapping):
        for name, inside in value.items():
            yield from _against_hint(inside, arguments[1], f"{place}.{name}")
    elif type(value) is not hint:
        yield f"{place}: {value!r} is no {hint}"


def _against_union(value: Any, choices: tuple[Any, ...], place: str) -> Iterator[str]:
    enumerations = [each for each in choices if isinstance(each, type) and issubclass(each, Enum)]
    if enumerations:
        allowed = {member.value for enumeration in enumerations for member in enumeration}
        if value not in allowed:
            yield f"{place}: {value!r} is none of {sorted(allowed)}"
    else:
        (hint,) = (each for each in choices if each is not type(None))
        yield from _against_hint(value, hint, place)


def _against_typed_dict(value: Any, hint: Any, place: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{place}: {value!r} is no object"
        return
    hints = typing.get_type_hints(hint, globalns=_NAMES)
    remarks = dict(
        re.findall(r":ivar (\w+): (.*?)(?=\n\s*:vartype)", hint.__doc__ or "", re.DOTALL)
    )
    for snake, remark in remarks.items():
        name = re.sub(r"_(\w)", lambda found: found[1].upper(), snake)
        # A resource's own name stands beside its body.
        if re.search(r"\bRequired\.", remark) and name not in value and name != "name":
            yield f"{place}.{name}: is missing"
        if re.search(r"\bRead-only\.", remark) and name in value:
            yield f"{place}.{name}: is read-only"
    for name, inside in value.items():
        if name not in hints:
            yield f"{place}.{name}: is no property of {hint.__name__}"
        else:
            yield from _against_hint(inside, hints[name], f"{place}.{name}")


def _against_table(value: Any, table: Any, place: str) -> Iterator[str]:
    if table is ANY:
        return
    if isinstance(table, dict) and isinstance(value, Mapping):
        for name, inside in value.items():
            if name in table:
                yield from _against_table(inside, table[name], f"{place}.{name}")
            else:
                yield f"{place}.{name}: is no property"
    elif isinstance(table, list) and isinstance(value, list):
        for index, each in enumerate(value):
            yield from _against_table(each, table[0], f"{place}[{index}]")
    elif isinstance(table, set):
        if value not in table:
            yield f"{place}: {value!r} is none of {sorted(table)}"
    elif type(value) is not table:
        yield f"{place}: {value!r} is no {getattr(table, '__name__', 'object or array')}"
