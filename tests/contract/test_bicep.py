"""The Bicep modules: what Azure has, what the code needs, and that they agree with each other."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pycep import BicepParser

from azure_function_app.declared_settings import CONCURRENT_CALLS, MOST_CALLS
from azure_function_app.fan_out.sharded_sync import _POISONED as POISONED
from azure_function_app.functions.sync_shards import POISON_QUEUE, QUEUE
from azure_function_app.sync.runs.sync_run import DELETIONS_HELD
from emulator.azure.bicep import Evaluated, Resource, evaluate
from emulator.azure.bicep_functions import FUNCTIONS
from emulator.azure.bicep_syntax.parser import parse_bicep
from emulator.azure.bicep_syntax.tree import Module
from tests.support.azure_types import API_VERSIONS, find_problems
from tests.support.bicep import (
    GROUP,
    MODULES,
    VARIANTS,
    deploy_variant,
    only,
    state_of,
)

CHECKOUT = Path(__file__).parents[2]
TEXTS = {name: path.read_text("utf-8") for name, path in MODULES.items()}
TREES: dict[str, Module] = {name: parse_bicep(text, name) for name, text in TEXTS.items()}
DEPLOYED: dict[str, Evaluated] = {variant: deploy_variant(variant) for variant in VARIANTS}
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ROLES = {
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Key Vault Secrets User": "4633458b-17de-408a-874b-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Role Based Access Control Administrator": "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}


def resources(kind: str, *variants: str) -> list[Resource]:
    """Every resource of the type in these variants, or in all."""
    return [
        resource
        for variant in variants or VARIANTS
        for resource in DEPLOYED[variant].resources
        if resource.type == kind
    ]


def roles_of(*variants: str) -> set[str]:
    """The names of the roles that these variants give."""
    names = {id_: name for name, id_ in ROLES.items()}
    return {
        names[str(each.properties["roleDefinitionId"]).rpartition("/")[2]]
        for each in resources(ASSIGNMENT, *variants)
    }


def site_properties(variant: str = "table", **more: object) -> Any:
    """The site's properties."""
    return only(deploy_variant(variant, **more), "site").properties


def names_in(value: Any) -> Iterator[str]:
    """Every name that a part of a tree mentions."""
    if type(value).__name__ == "Name":
        yield value.name
    elif hasattr(value, "__dataclass_fields__"):
        for field in value.__dataclass_fields__:
            yield from names_in(getattr(value, field))
    elif isinstance(value, Mapping):
        for inside in value.values():
            yield from names_in(inside)
    elif isinstance(value, tuple):
        for inside in value:
            yield from names_in(inside)


def unused(tree: Module) -> set[str]:
    """The parameters and variables that nothing in the module mentions."""
    used = {name for part in tree for each in part.values() for name in names_in(tuple(each))}
    return {*tree.parameters, *tree.variables} - used


# --- the files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_when_another_parser_reads_a_module_then_it_reads_the_same(module: str) -> None:
    """It is Checkov's, pycep: what it cannot read, Checkov does not look at."""
    read: Any = BicepParser().parse(file_path=MODULES[module])
    ours = TREES[module]

    assert set(read["parameters"]) == set(ours.parameters)
    assert set(read.get("variables", ())) == set(ours.variables)
    assert set(read["outputs"]) == set(ours.outputs)
    assert {
        name: (each["type"], each["api_version"], each["existing"])
        for name, each in read["resources"].items()
    } == {name: each[1:4] for name, each in ours.resources.items()}


def test_when_all_variants_are_deployed_then_every_resource_is_in_one() -> None:
    """What no example makes, no check below looks at."""
    declared = {
        (module, name)
        for module, tree in TREES.items()
        for name, resource in tree.resources.items()
        if not resource.is_existing
    }
    made = {
        (VARIANTS[variant][0], resource.symbol.partition("[")[0])
        for variant, evaluated in DEPLOYED.items()
        for resource in evaluated.resources
    }

    assert {"app", "foundation", "github"} == set(MODULES)
    assert 25 <= len(declared)
    assert declared == made


@pytest.mark.parametrize("variant", VARIANTS)
def test_when_a_variant_is_deployed_then_azure_has_all_that_it_says(variant: str) -> None:
    """No property is misspelt, read-only, missing or of another type."""
    problems = [line for each in DEPLOYED[variant].resources for line in find_problems(each)]

    assert [] == problems


@pytest.mark.parametrize(
    ("variant", "right", "wrong", "problem"),
    [
        ("table", "perInstanceConcurrency: per", "perInstanceConcurency: per", "is no property"),
        ("table", "httpsOnly: true", "httpsOnly: 'true'", "is no <class 'bool'>"),
        ("table", "minTlsVersion: '1.2'", "minTlsVersion: '1.1.1'", "is none of"),
        ("table", "type: 'blobContainer'", "type: 'container'", "is none of"),
        ("table", "type: 'UserAssigned'", "type: 'User'", "is none of"),
        ("table", "allow: false", "allow: 'no'", "is no <class 'bool'>"),
        ("table", "location: location\n", "", "site.location: is missing"),
        ("table", "httpsOnly: true", "usageState: 'Normal'", "is read-only"),
        ("easy auth", "'Return401'", "'Return402'", "is none of"),
        ("easy auth", "openIdIssuer", "openIDIssuer", "is no property"),
        ("easy auth", "allowedAudiences: [", "allowedAudience: [", "is no property"),
        ("always ready", "name: 'http'", "function: 'http'", "is no property"),
        ("foundation", "reserved: true", "reserve: true", "is no property"),
        ("foundation", "allowSharedKeyAccess: false", "allowSharedKey: false", "is no property"),
        ("foundation", "'TLS1_2'", "'1.2'", "is none of"),
        ("foundation", "Application_Type: 'web'\n", "", "Application_Type: is missing"),
        ("foundation", "retentionInDays: logR", "retentionDays: logR", "is no property"),
        ("foundation in a network", "serviceName:", "service:", "is no property"),
        ("foundation in a network", "groupIds: [", "groups: [", "is no property"),
        ("alerts", "operator: 'LessThan'", "operator: 'Below'", "is none of"),
        ("alerts", "windowSize: sync", "window: sync", "is no property"),
        ("github", "'ServicePrincipal'\n    role", "'Service'\n    role", "is none of"),
        ("github", "audiences: [", "audience: [", "is no property"),
    ],
)
def test_when_a_property_is_wrong_then_it_is_found(
    tmp_path: Path, variant: str, right: str, wrong: str, problem: str
) -> None:
    """At any depth, of Microsoft's types and of our table."""
    module, parameters = VARIANTS[variant]
    file = tmp_path / "main.bicep"
    assert right in TEXTS[module]
    file.write_text(TEXTS[module].replace(right, wrong), "utf-8")

    deployed = evaluate(file, parameters, state_of, GROUP)

    problems = [line for each in deployed.resources for line in find_problems(each)]
    assert problems
    assert all(re.search(problem, line) for line in problems), problems


def test_when_a_type_is_named_then_its_version_is_the_newest_stable_one() -> None:
    """And the same wherever it is named."""
    named = {
        (each.type, each.api_version) for tree in TREES.values() for each in tree.resources.values()
    }

    expected = {
        (kind, next(version for prefix, version in API_VERSIONS.items() if kind.startswith(prefix)))
        for kind, _version in named
    }
    assert 15 <= len(named)
    assert expected == named


@pytest.mark.parametrize("module", MODULES)
def test_when_something_is_declared_then_the_module_uses_it(module: str) -> None:
    """Bicep's linter, which needs the network, calls anything else an error."""
    assert set() == unused(TREES[module])


def test_when_bicep_lints_the_modules_then_what_it_finds_is_an_error() -> None:
    """Compiled by whoever has the network, with the rules that mean something here."""
    config = json.loads((MODULES["app"].parent / "bicepconfig.json").read_text("utf-8"))
    rules = config["analyzers"]["core"]["rules"]

    assert config["analyzers"]["core"]["enabled"]
    assert {"no-unused-params", "no-unused-vars", "outputs-should-not-contain-secrets"} <= set(
        rules
    )
    assert {"use-recent-api-versions"} == {
        name for name, rule in rules.items() if rule["level"] != "error"
    }


def test_when_nothing_uses_a_variable_then_it_is_found() -> None:
    """A variable that only mentions itself in a text is used by nobody."""
    tree = parse_bicep("var a = 'a'\nvar b = 1\noutput c string = '${a}b'\n", "main.bicep")

    assert {"b"} == unused(tree)


def test_when_a_function_is_evaluated_here_then_a_module_calls_it() -> None:
    """The evaluator knows nothing that nobody needs."""
    called = set(re.findall(r"\b(\w+)\(", "\n".join(TEXTS.values())))

    assert set() == set(FUNCTIONS) - called


# --- parameters and outputs -----------------------------------------------------------------------


def test_when_two_modules_share_a_parameter_then_it_is_the_same() -> None:
    """One value is passed to both."""
    kinds: dict[str, set[str]] = {}
    for tree in TREES.values():
        for parameter in tree.parameters.values():
            kinds.setdefault(parameter.name, set()).add(parameter.type)

    shared = {"identityName", "storageAccountName", "planName", "insightsName", "location", "tags"}
    assert shared <= TREES["foundation"].parameters.keys() & TREES["app"].parameters.keys()
    assert {1} == {len(types) for types in kinds.values()}


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (
            "foundation",
            {"identityName", "storageAccountName", "planName", "insightsName", "workspaceName"},
        ),
        (
            "app",
            {
                *("functionAppName", "identityName", "storageAccountName", "planName"),
                *("insightsName", "awsApiBaseUrl", "entraTenantId", "apiClientId"),
            },
        ),
        ("github", {"identityName", "subject"}),
    ],
)
def test_when_a_parameter_has_no_default_then_everybody_must_give_it(
    module: str, parameters: set[str]
) -> None:
    """Another one without a default would stop every deployment that there is."""
    required = {
        each.name
        for each in TREES[module].parameters.values()
        if each.default is None and not each.is_nullable
    }

    assert parameters == required


@pytest.mark.parametrize(
    ("variant", "outputs"),
    [
        (
            "foundation",
            {
                *("identityClientId", "identityPrincipalId", "identityId", "storageAccountName"),
                *("tableEndpoint", "queueEndpoint", "packageContainerUrl"),
                *("insightsConnectionString", "planId", "subnetId"),
            },
        ),
        ("table", {"functionAppName", "defaultHostName"}),
        ("github", {"githubClientId", "githubPrincipalId"}),
    ],
)
def test_when_a_step_ends_then_it_leaves_what_the_next_ones_need(
    variant: str, outputs: set[str]
) -> None:
    """The names that the deployment reads."""
    assert outputs == set(DEPLOYED[variant].outputs)


@pytest.mark.parametrize("module", MODULES)
def test_when_a_parameter_or_output_is_declared_then_it_says_what_it_is(module: str) -> None:
    """The portal and the page show it."""
    tree = TREES[module]
    decorators = {
        **{name: each.decorators for name, each in tree.parameters.items()},
        **{name: each.decorators for name, each in tree.outputs.items()},
    }

    assert [] == [name for name, each in decorators.items() if "description" not in each]


# --- roles ----------------------------------------------------------------------------------------


def test_when_a_role_is_named_then_its_id_is_that_roles() -> None:
    """Nobody can read a GUID, so the name stands above it."""
    named = {
        (name, id_)
        for text in TEXTS.values()
        for name, id_ in re.findall(rf"// (.+)\nvar \w+ = '({GUID})'\n", text)
    }

    assert set(ROLES.items()) == named


def test_when_an_id_stands_in_a_module_then_it_is_of_a_role_that_is_known() -> None:
    """No tenant's, subscription's or application's ID gets in."""
    assert set(ROLES.values()) == set(re.findall(GUID, "\n".join(TEXTS.values())))


def test_when_the_app_stores_something_then_its_identity_may_and_no_more() -> None:
    """The host stores blobs; tables and queues are for the code that asks for them."""
    code = "\n".join(
        path.read_text("utf-8") for path in (CHECKOUT / "azure_function_app").rglob("*.py")
    )
    always = {"Storage Blob Data Owner", "Monitoring Metrics Publisher"}

    assert "from azure.data.tables" in code
    assert ".queue_trigger(" in code
    assert "azure.storage" not in code
    assert always == roles_of("foundation")
    assert {"Storage Table Data Contributor"} == roles_of("table", "easy auth", "in a network")
    assert set() == roles_of("postgres")
    assert {"Storage Table Data Contributor", "Storage Queue Data Contributor"} == (
        roles_of("fan-out")
    )
    assert {"Storage Table Data Contributor", "Key Vault Secrets User"} == roles_of("secrets")


@pytest.mark.parametrize(
    "variant", [name for name, (module, _) in VARIANTS.items() if module == "app"]
)
def test_when_the_site_starts_then_its_roles_are_given(variant: str) -> None:
    """Its first start reads tables, queues and secrets."""
    given = {each.id for each in resources(ASSIGNMENT, variant)}

    assert given <= set(only(DEPLOYED[variant], "site").depends_on)


def test_when_a_role_is_given_then_to_a_service_principal_on_one_resource() -> None:
    """By a name of its own; only GitHub's deployments have a whole resource group."""
    for variant in VARIANTS:
        for assignment in resources(ASSIGNMENT, variant):
            on_group = assignment.id.startswith(f"{GROUP.id}/providers/{ASSIGNMENT}/")

            assert "ServicePrincipal" == assignment.properties["principalType"]
            assert str(UUID(assignment.name)) == assignment.name
            assert on_group is (variant == "github")
    assert len({each.name for each in resources(ASSIGNMENT)}) == len(
        {each.id for each in resources(ASSIGNMENT)}
    )


def test_when_the_identity_is_another_then_its_roles_are_others() -> None:
    """Else the second deployment would fail: of an assignment, the principal cannot be changed."""
    other = deploy_variant("foundation", identityName="id-other")

    assert only(DEPLOYED["foundation"], "blobRole").name != only(other, "blobRole").name


def test_when_github_deploys_then_it_may_give_the_modules_roles_and_no_others() -> None:
    """Who may give any role in a resource group may give itself Owner."""
    condition = str(only(DEPLOYED["github"], "accessRole").properties["condition"])
    lists = re.findall(r"GuidEquals \{(.*?)\}", condition)
    given = {ROLES[name] for name in roles_of("foundation", "fan-out", "secrets")}

    assert 2 == len(lists)
    assert [given, given] == [set(each.split(", ")) for each in lists]
    assert "StringEqualsIgnoreCase {'ServicePrincipal'}" in condition
    assert condition.count("(") == condition.count(")")


# --- where it runs --------------------------------------------------------------------------------


def test_when_the_app_runs_then_on_the_python_that_it_is_tested_with() -> None:
    """On Flex Consumption, Linux."""
    runtime = site_properties()["functionAppConfig"]["runtime"]
    plan = only(DEPLOYED["foundation"], "plan")

    version = (CHECKOUT / ".python-version").read_text().strip()
    assert {"name": "python", "version": version} == runtime
    assert {"name": "FC1", "tier": "FlexConsumption"} == plan.body["sku"]
    assert plan.properties["reserved"]
    assert "functionapp,linux" == only(DEPLOYED["table"], "site").body["kind"]


HOST_REQUESTS = json.loads((CHECKOUT / "host.json").read_text())["extensions"]["http"][
    "maxConcurrentRequests"
]


@pytest.mark.parametrize("memory", [512, 2048, 4096])
@pytest.mark.parametrize("calls", ["", "1", "16", "64", "200"])
def test_when_an_instance_takes_requests_on_then_it_has_places_for_them(
    memory: int, calls: str
) -> None:
    """What is beyond the host's limit is answered 429, beyond the bulkhead's 503."""
    properties = site_properties(instanceMemoryMB=memory, concurrentCalls=calls)
    triggers = properties["functionAppConfig"]["scaleAndConcurrency"]["triggers"]

    places = int(calls or CONCURRENT_CALLS.default or 0)
    assert 1 <= triggers["http"]["perInstanceConcurrency"] <= min(places, HOST_REQUESTS)


@pytest.mark.parametrize("memory", [512, 2048, 4096])
def test_when_each_request_brings_and_takes_10_mib_then_the_instance_has_the_memory(
    memory: int,
) -> None:
    """By the sum in docs/company-network.md: 67 MiB, 40 for each call, 150 for Azure's host."""
    page = " ".join((CHECKOUT / "docs" / "company-network.md").read_text("utf-8").split())
    scale = site_properties(instanceMemoryMB=memory)["functionAppConfig"]["scaleAndConcurrency"]

    assert "with 150 MB left for that host" in page
    assert "40 = 347 of 362 MiB)" in page
    assert 67 + 40 * scale["triggers"]["http"]["perInstanceConcurrency"] <= memory - 150


def test_when_the_concurrency_is_given_then_it_holds_up_to_what_calls_may_wait() -> None:
    """All the places that the app may be given are half of the host's."""
    triggers = site_properties(perInstanceConcurrency=MOST_CALLS)["functionAppConfig"][
        "scaleAndConcurrency"
    ]["triggers"]
    bound = TREES["app"].parameters["perInstanceConcurrency"].decorators["maxValue"]

    assert MOST_CALLS == triggers["http"]["perInstanceConcurrency"]
    assert f"Literal(value={MOST_CALLS})" == repr(bound)
    assert MOST_CALLS < HOST_REQUESTS


def test_when_instances_are_kept_ready_then_of_functions_that_there_are() -> None:
    """A group that is not there is refused, or kept for nothing."""
    timers = {
        node.name
        for node in ast.walk(
            ast.parse((CHECKOUT / "azure_function_app/functions/sync_timer.py").read_text("utf-8"))
        )
        if isinstance(node, ast.AsyncFunctionDef)
    }
    (timer,) = timers
    scale = site_properties("always ready")["functionAppConfig"]["scaleAndConcurrency"]

    assert [
        {"name": "http", "instanceCount": 2},
        {"name": f"function:{timer}", "instanceCount": 1},
    ] == scale["alwaysReady"]
    assert [] == site_properties()["functionAppConfig"]["scaleAndConcurrency"]["alwaysReady"]


FORBIDDEN_ON_FLEX = {
    *("linuxFxVersion", "ftpsState", "functionAppScaleLimit", "vnetRouteAllEnabled"),
    *("healthCheckPath", "javaVersion", "use32BitWorkerProcess", "alwaysOn"),
}


@pytest.mark.parametrize(
    "variant", [name for name, (module, _) in VARIANTS.items() if module == "app"]
)
def test_when_the_site_is_deployed_then_it_says_nothing_that_flex_refuses(variant: str) -> None:
    """Properties that other plans have."""
    properties = site_properties(variant)

    assert set() == FORBIDDEN_ON_FLEX & {*properties, *properties["siteConfig"]}


def test_when_the_package_is_published_then_where_the_foundation_has_made_a_place() -> None:
    """Read and written by the identity."""
    storage = site_properties()["functionAppConfig"]["deployment"]["storage"]
    foundation = DEPLOYED["foundation"]

    assert foundation.outputs["packageContainerUrl"] == storage["value"]
    assert (
        foundation.outputs["identityId"]
        == (storage["authentication"]["userAssignedIdentityResourceId"])
    )
    assert "package" == only(foundation, "packageContainer").name.rpartition("/")[2]


def test_when_the_sync_fans_out_then_its_queues_are_there() -> None:
    """Under the names that the code sends to; without fan-out there are none."""
    queues = resources("Microsoft.Storage/storageAccounts/queueServices/queues", "fan-out")

    assert [QUEUE, POISON_QUEUE] == [each.name.rpartition("/")[2] for each in queues]
    assert [] == resources("Microsoft.Storage/storageAccounts/queueServices/queues", "table")


# --- who gets in ----------------------------------------------------------------------------------


def test_when_nothing_is_chosen_then_nobody_gets_in_by_a_stored_secret() -> None:
    """Keys, passwords and connection strings are off wherever they can be."""
    storage = only(DEPLOYED["foundation"], "storage").properties
    policies = resources("Microsoft.Web/sites/basicPublishingCredentialsPolicies", "table")

    assert storage["allowSharedKeyAccess"] is False
    assert storage["allowBlobPublicAccess"] is False
    assert storage["supportsHttpsTrafficOnly"] is True
    assert "TLS1_2" == storage["minimumTlsVersion"]
    assert only(DEPLOYED["foundation"], "insights").properties["DisableLocalAuth"] is True
    assert {"ftp": False, "scm": False} == {
        each.name.rpartition("/")[2]: each.properties["allow"] for each in policies
    }
    assert site_properties()["httpsOnly"] is True
    assert "1.2" == site_properties()["siteConfig"]["minTlsVersion"]
    assert "1.2" == site_properties()["siteConfig"]["scmMinTlsVersion"]


def test_when_there_is_a_network_then_storage_is_reached_through_it_only() -> None:
    """An endpoint, a zone, a link and an entry for each of the services that the app uses."""
    deployed = DEPLOYED["foundation in a network"]
    storage = only(deployed, "storage").properties
    network: Any = only(deployed, "network")
    function, endpoints = network.properties["subnets"]
    services = ["blob", "queue", "table"]

    assert "Disabled" == storage["publicNetworkAccess"]
    assert (
        "Microsoft.App/environments"
        == (function["properties"]["delegations"][0]["properties"]["serviceName"])
    )
    assert f"{network.id}/subnets/{function['name']}" == deployed.outputs["subnetId"]
    for at, service in enumerate(services):
        endpoint: Any = only(deployed, f"endpoints[{at}]").properties
        zone = only(deployed, f"zones[{at}]")
        entry: Any = only(deployed, f"endpointZones[{at}]").properties
        link: Any = only(deployed, f"zoneLinks[{at}]")

        assert f"{network.id}/subnets/{endpoints['name']}" == endpoint["subnet"]["id"]
        assert [service] == (endpoint["privateLinkServiceConnections"][0]["properties"]["groupIds"])
        assert f"privatelink.{service}.core.windows.net" == zone.name
        assert zone.id == entry["privateDnsZoneConfigs"][0]["properties"]["privateDnsZoneId"]
        assert link.name.startswith(f"{zone.name}/")
        assert network.id == link.properties["virtualNetwork"]["id"]


def test_when_there_is_no_network_then_nothing_of_one_is_made() -> None:
    """It costs money by the hour."""
    kinds = {each.type for each in DEPLOYED["foundation"].resources}

    assert [] == [kind for kind in kinds if kind.startswith("Microsoft.Network/")]
    assert "" == DEPLOYED["foundation"].outputs["subnetId"]
    assert site_properties()["virtualNetworkSubnetId"] is None


def test_when_deployments_are_githubs_then_only_by_its_own_token() -> None:
    """The issuer, the exact subject and the one audience of an exchange."""
    credential = only(DEPLOYED["github"], "credential").properties

    assert {
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": VARIANTS["github"][1]["subject"],
        "audiences": ["api://AzureADTokenExchange"],
    } == credential


# --- alerts ---------------------------------------------------------------------------------------


def queries() -> list[str]:
    """What the alerts look for."""
    alerts: list[Any] = resources("Microsoft.Insights/scheduledQueryRules", "alerts")
    return [each.properties["criteria"]["allOf"][0]["query"] for each in alerts]


def test_when_somebody_is_told_then_of_what_the_app_writes() -> None:
    """The function and the events have these names in the code, and the host keeps every run."""
    sync, decision = queries()
    logging = json.loads((CHECKOUT / "host.json").read_text())["logging"]
    sampling = logging["applicationInsights"]["samplingSettings"]

    assert re.findall(r'"(\w+)"', sync) == ["sync_timer"]
    assert re.findall(r'"(\w+)"', decision) == [DELETIONS_HELD, POISONED]
    assert "Request" in sampling["excludedTypes"].split(";")
    assert "Information" == logging["logLevel"]["Host.Results"]


def test_when_nobody_is_to_be_told_then_there_are_no_alerts() -> None:
    """An alert that tells nobody costs as much."""
    assert [] == resources("Microsoft.Insights/scheduledQueryRules", "table")
    assert 2 == len(queries())


def test_when_alerts_are_made_then_in_the_workspace_of_this_environment() -> None:
    """Application Insights says which one that is."""
    for alert in resources("Microsoft.Insights/scheduledQueryRules", "alerts"):
        properties: Any = alert.properties

        assert [f"{GROUP.id}/providers/Microsoft.OperationalInsights/workspaces/log"] == (
            properties["scopes"]
        )
        assert [VARIANTS["alerts"][1]["alertActionGroupId"]] == (
            properties["actions"]["actionGroups"]
        )
