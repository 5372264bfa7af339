"""The Bicep modules of infra/azure, and what an environment gives each."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from azure_function_app.declared_settings import (
    AZURE_CLIENT_ID,
    CREDENTIAL,
    TABLE_ENDPOINT,
)
from deployment.bridge_file import Environment
from deployment.names import names_of
from deployment.parameters.derived_settings import function_app_settings
from deployment.values import Value, Values, show

_PARAMETER: Final = re.compile(r"^param (\w+) \w+(\?)?( =)?", re.MULTILINE)
_SET_BY_THE_MODULE: Final = frozenset(
    setting.name for setting in (AZURE_CLIENT_ID, CREDENTIAL, TABLE_ENDPOINT)
)
"""Settings that app.bicep takes from the identity and the storage account themselves."""


type Parameters = dict[str, str | int | bool | list[str] | dict[str, str]]
"""A module's parameters by name."""


class Layer(StrEnum):
    """A Bicep module, by what it deploys."""

    FOUNDATION = "foundation"
    APP = "app"
    GITHUB = "github"

    @property
    def module(self) -> str:
        """The module's file, from the checkout."""
        return f"infra/azure/{self.value}.bicep"


def camel_case(setting: str) -> str:
    """Return a setting's name as Bicep spells it: ENTRA_TENANT_ID is entraTenantId."""
    first, *others = setting.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


def load_bicep_parameters(module: Path) -> Mapping[str, bool]:
    """Return by its name each parameter that a module declares, and whether it must be given."""
    declared = _PARAMETER.findall(module.read_text(encoding="utf-8"))
    return {name: not (nullable or default) for name, nullable, default in declared}


def layer_parameters(layer: Layer, environment: Environment, values: Values) -> Parameters:
    """Return what the environment gives a module's parameters."""
    tags: Parameters = {"tags": dict(environment.azure.tags)} if environment.azure.tags else {}
    return _own_parameters(layer, environment, values) | tags


def _own_parameters(layer: Layer, environment: Environment, values: Values) -> Parameters:
    names, azure = names_of(environment), environment.azure
    match layer:
        case Layer.FOUNDATION:
            return {
                "location": azure.region,
                "identityName": names.identity,
                "storageAccountName": names.storage_account,
                "planName": names.plan,
                "insightsName": names.insights,
                "workspaceName": names.workspace,
                "zoneRedundant": azure.zone_redundant,
                "useVirtualNetwork": azure.vnet,
            }
        case Layer.APP:
            return _app_parameters(environment, values)
        case Layer.GITHUB:
            prefix = environment.github.subject_prefix if environment.github else ""
            return {
                "location": azure.region,
                "identityName": names.github_identity,
                "subject": github_subject(prefix, environment.name),
            }


def github_subject(prefix: str, environment: str) -> str:
    """Return the exact subject of the tokens that GitHub issues to a job of the environment."""
    return f"{prefix}:environment:{environment}"


def _app_parameters(environment: Environment, values: Values) -> Parameters:
    names, size, proxy = names_of(environment), environment.function_app, environment.proxy
    given: Parameters = {
        "location": environment.azure.region,
        "functionAppName": names.function_app,
        "identityName": names.identity,
        "storageAccountName": names.storage_account,
        "planName": names.plan,
        "insightsName": names.insights,
        "instanceMemoryMB": size.instance_memory_mb,
        "maximumInstanceCount": size.maximum_instance_count,
        "alwaysReadyHttp": size.always_ready_http,
        "alwaysReadyTimer": size.always_ready_sync,
    }
    if size.per_instance_concurrency:
        given["perInstanceConcurrency"] = size.per_instance_concurrency
    if environment.azure.vnet:
        given["subnetId"] = show(values, Value.SUBNET_ID)
    if environment.azure.key_vault:
        given["keyVaultName"] = environment.azure.key_vault
    if environment.azure.alert_action_group_id:
        given["alertActionGroupId"] = environment.azure.alert_action_group_id
        given["syncAlertWindow"] = environment.azure.sync_alert_window
    if proxy.sign_in_client_id:
        given["proxySignInClientId"] = proxy.sign_in_client_id
    if proxy.caller_client_ids:
        given["proxyCallerClientIds"] = list(proxy.caller_client_ids)
    return given | {
        camel_case(name): value
        for name, value in function_app_settings(environment, values).items()
        if name not in _SET_BY_THE_MODULE
    }
