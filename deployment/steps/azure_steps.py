"""The steps that Azure's deployer and Entra ID's administrator take."""

import json
from collections.abc import Callable
from typing import Final

from deployment.lines import azure_lines
from deployment.lines.line import Line, PlannedFile
from deployment.parameters.bicep_parameters import Layer, Parameters, layer_parameters
from deployment.parameters.derived_settings import identity_roles
from deployment.steps.step import Context, Step, StepId, Who
from deployment.values import Value, show
from shared.routes import Role

PACKAGE_SECONDS: Final = 900
_SCHEMA: Final = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"
_DEPLOYER_RIGHTS: Final = (
    "Contributor and Role Based Access Control Administrator, or Owner, on the subscription or on"
    " the resource group that is there"
)


def deployment_name(layer: Layer) -> str:
    """Return the name under which Azure Resource Manager keeps the layer's deployment.

    It is always the same, so Azure refuses a second deployment while one goes on.
    """
    return f"bridge-{layer}"


def digest_tag(layer: Layer) -> str:
    """Return the resource group's tag that says what the layer was deployed from."""
    return f"bridge-digest-{layer}"


PACKAGE_TAG: Final = "bridge-digest"
"""The Function App's tag that says which package was published."""


def parameters_path(context: Context, layer: Layer) -> str:
    """Return the file with the layer's parameters, from the checkout."""
    return f"{context.folder}/{layer}.parameters.json"


def parameters_text(parameters: Parameters) -> str:
    """Return a parameter file as `az deployment` takes it."""
    content = {name: {"value": value} for name, value in parameters.items()}
    document = {"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "parameters": content}
    return json.dumps(document, indent=2) + "\n"


def _layer_files(layer: Layer) -> Callable[[Context], tuple[PlannedFile, ...]]:
    def files(context: Context) -> tuple[PlannedFile, ...]:
        given = layer_parameters(layer, context.environment, context.values)
        return (PlannedFile(parameters_path(context, layer), parameters_text(given)),)

    return files


def _layer_lines(
    layer: Layer, *, makes_group: bool = False
) -> Callable[[Context], tuple[Line, ...]]:
    def lines(context: Context) -> tuple[Line, ...]:
        environment, names = context.environment, context.names
        name = deployment_name(layer)
        return (
            azure_lines.group_show(environment, names),
            *((azure_lines.group_create(environment, names),) if makes_group else ()),
            azure_lines.deployment_show(environment, names, name),
            azure_lines.resource_list(environment, names),
            azure_lines.deployment_create(
                environment, names, name, layer.module, parameters_path(context, layer)
            ),
            azure_lines.tag_merge(
                environment,
                azure_lines.group_id(environment, names),
                digest_tag(layer),
                "<digest>",
            ),
        )

    return lines


def _package_lines(context: Context) -> tuple[Line, ...]:
    environment, names = context.environment, context.names
    site = azure_lines.site_id(environment, names)
    return (
        azure_lines.site_show(environment, names),
        azure_lines.tag_merge(environment, site, PACKAGE_TAG, "publishing"),
        azure_lines.publish(environment, names, package_path(context), PACKAGE_SECONDS),
        azure_lines.tag_merge(environment, site, PACKAGE_TAG, "<digest>"),
    )


def package_path(context: Context) -> str:
    """Return the Function App's package, from the checkout."""
    return f"{context.folder}/FunctionApp.zip"


def _entra_lines(context: Context) -> tuple[Line, ...]:
    environment = context.environment
    developers = tuple(
        word for developer in environment.developers for word in ("--developer", developer)
    )
    return (
        Line(
            (
                *("bridge", "entra", "--apply", "--env", environment.name),
                *("--name", environment.bridge_name, "--tenant-id", environment.entra.tenant_id),
                *("--cloud", environment.entra.cloud),
                *("--token-version", str(environment.entra.token_version)),
                *("--principal-id", show(context.values, Value.IDENTITY_PRINCIPAL_ID)),
                *developers,
                *(("--writes",) if Role.WRITE in identity_roles(environment) else ()),
            ),
            is_equivalent=True,
        ),
    )


FOUNDATION: Final = Step(
    StepId.AZURE_FOUNDATION,
    "What the Function App stands on",
    Who.AZURE_DEPLOYER,
    _DEPLOYER_RIGHTS,
    "the resource group and what infra/azure/foundation.bicep declares in it",
    "identity, storage account without keys, plan, Application Insights, roles, on demand a VNet",
    after=(StepId.SIGN_IN,),
    gives=(Value.IDENTITY_CLIENT_ID, Value.IDENTITY_PRINCIPAL_ID, Value.SUBNET_ID),
    lines=_layer_lines(Layer.FOUNDATION, makes_group=True),
    files=_layer_files(Layer.FOUNDATION),
)
ENTRA: Final = Step(
    StepId.ENTRA,
    "The API's registration, and who may call it",
    Who.ENTRA_ADMINISTRATOR,
    "AppRoleAssignment.ReadWrite.All and Application.ReadWrite.All, as a Cloud Application"
    " Administrator, an Application Administrator or a Global Administrator has (for the second"
    " part, assigning roles, a Privileged Role Administrator too); no pipeline may have them",
    "the registration, its service principal, the app roles of the identity and of the developers",
    "registration and service principal; roles are there before the first token is issued",
    after=(StepId.AZURE_FOUNDATION,),
    needs=(Value.IDENTITY_PRINCIPAL_ID,),
    gives=(Value.API_CLIENT_ID,),
    lines=_entra_lines,
)
APP: Final = Step(
    StepId.AZURE_APP,
    "The Function App, with its settings",
    Who.AZURE_DEPLOYER,
    _DEPLOYER_RIGHTS,
    "what infra/azure/app.bicep declares: site, settings, sign-in of the proxy's callers",
    "the site; its identity may ask for its first token from now on, which is kept for 24 hours",
    after=(StepId.AZURE_FOUNDATION, StepId.ENTRA, StepId.AWS_PUBLIC_URL),
    needs=(Value.API_CLIENT_ID, Value.API_URL, Value.SUBNET_ID),
    gives=(Value.PROXY_URL,),
    lines=_layer_lines(Layer.APP),
    files=_layer_files(Layer.APP),
)
PACKAGE: Final = Step(
    StepId.AZURE_PACKAGE,
    "The Function App's code",
    Who.AZURE_DEPLOYER,
    "Contributor, or Website Contributor, on the resource group",
    "the Function App's package",
    "the running code: the same bytes that were built here, with nothing built in Azure",
    after=(StepId.PACKAGES, StepId.AZURE_APP),
    lines=_package_lines,
)
GITHUB: Final = Step(
    StepId.AZURE_GITHUB,
    "GitHub's way into Azure",
    Who.AZURE_DEPLOYER,
    _DEPLOYER_RIGHTS,
    "what infra/azure/github.bicep declares: an identity that GitHub's tokens sign in as",
    "the identity, which may deploy to this resource group and to nothing else",
    after=(StepId.AZURE_FOUNDATION,),
    lines=_layer_lines(Layer.GITHUB),
    files=_layer_files(Layer.GITHUB),
    only_with_github=True,
)
