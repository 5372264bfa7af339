"""Every `az` line of a deployment; each names the subscription, whatever the default is."""

from deployment.bridge_file import Environment
from deployment.lines.line import Line
from deployment.names import Names

_JSON = ("--only-show-errors", "--output", "json")


def _of(environment: Environment) -> tuple[str, ...]:
    return ("--subscription", environment.azure.subscription_id, *_JSON)


def group_id(environment: Environment, names: Names) -> str:
    """Return the resource group's ID in Azure Resource Manager."""
    subscription = environment.azure.subscription_id
    return f"/subscriptions/{subscription}/resourceGroups/{names.resource_group}"


def site_id(environment: Environment, names: Names) -> str:
    """Return the Function App's ID in Azure Resource Manager."""
    return f"{group_id(environment, names)}/providers/Microsoft.Web/sites/{names.function_app}"


def account_show(environment: Environment) -> Line:
    """Return the line that says who is signed in, and whether the subscription is within reach."""
    return Line(("az", "account", "show", *_of(environment)))


def group_show(environment: Environment, names: Names) -> Line:
    """Return the line that looks for the resource group."""
    return Line(("az", "group", "show", "--name", names.resource_group, *_of(environment)))


def resource_list(environment: Environment, names: Names) -> Line:
    """Return the line that lists the IDs of what is in the resource group."""
    return Line(
        (
            *("az", "resource", "list", "--resource-group", names.resource_group),
            *("--query", "[].id", *_of(environment)),
        )
    )


def group_create(environment: Environment, names: Names) -> Line:
    """Return the line that makes the resource group; one that is there would lose its tags."""
    return Line(
        (
            *("az", "group", "create", "--name", names.resource_group),
            *("--location", environment.azure.region, *_of(environment)),
        )
    )


def deployment_show(environment: Environment, names: Names, deployment: str) -> Line:
    """Return the line that shows a deployment: its state and its outputs."""
    return Line(
        (
            *("az", "deployment", "group", "show", "--resource-group", names.resource_group),
            *("--name", deployment, *_of(environment)),
        )
    )


def deployment_create(
    environment: Environment, names: Names, deployment: str, module: str, parameters: str
) -> Line:
    """Return the line that deploys a Bicep module with the parameters of a file."""
    return Line(
        (
            *("az", "deployment", "group", "create", "--resource-group", names.resource_group),
            *("--name", deployment, "--mode", "Incremental", "--template-file", module),
            *("--parameters", f"@{parameters}", *_of(environment)),
        )
    )


def tag_merge(environment: Environment, resource_id: str, tag: str, value: str) -> Line:
    """Return the line that sets one tag and leaves the others."""
    return Line(
        (
            *("az", "tag", "update", "--resource-id", resource_id, "--operation", "Merge"),
            *("--tags", f"{tag}={value}", *_of(environment)),
        )
    )


def site_show(environment: Environment, names: Names) -> Line:
    """Return the line that looks at the Function App, its tags among it."""
    return Line(
        (
            *("az", "functionapp", "show", "--name", names.function_app),
            *("--resource-group", names.resource_group, *_of(environment)),
        )
    )


def publish(environment: Environment, names: Names, package: str, seconds: int) -> Line:
    """Return the line that publishes the package as it is, with nothing built in Azure."""
    return Line(
        (
            *("az", "functionapp", "deployment", "source", "config-zip"),
            *("--name", names.function_app, "--resource-group", names.resource_group),
            *("--src", package, "--build-remote", "false", "--timeout", str(seconds)),
            *_of(environment),
        )
    )
