"""What the local clouds hold, read by the interfaces that others read them by."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from emulator.aws.deployment import LocalAws
from tests.rehearsal.commands import ENVIRONMENT, places
from tests.support.processes import descendants_of

STACK: Final = f"bridge-{ENVIRONMENT}"
REGISTRATION: Final = f"bridge-{ENVIRONMENT}-api"
IDENTITY: Final = f"id-bridge-{ENVIRONMENT}"
_LAYERS: Final = ("foundation", "app")
_GRANTED: Final = 2
_HOST: Final = "emulator.functions_host"


def read_contents(folder: Path, clouds_process: int) -> dict[str, Any]:
    """Return everything that a deployment could have changed; equal if nothing was."""
    clouds = places(folder)
    azure = _read_azure(clouds["azure"]["url"])
    return {
        "entra": _read_graph(clouds["entra"]),
        "aws": _read_aws(clouds["aws"]["endpoint_url"]),
        "azure": azure,
        "hosts": sorted(_hosts_under(clouds_process)),
    }


def find_faults(contents: dict[str, Any]) -> list[str]:
    """Return what is not as one whole deployment leaves it: too little, too much, or twice."""
    faults = []
    entra, aws, azure = contents["entra"], contents["aws"], contents["azure"]
    registrations = [each for each in entra["applications"] if each["displayName"] == REGISTRATION]
    if len(registrations) != 1:
        faults.append(f"{len(registrations)} registrations {REGISTRATION}")
    for name in (REGISTRATION, IDENTITY):
        principals = [each for each in entra["principals"] if each["displayName"] == name]
        if len(principals) != 1:
            faults.append(f"{len(principals)} service principals {name}")
    # The identity's and the developer's, who both may only read.
    granted = [(each["principalId"], each["appRoleId"]) for each in entra["assignments"]]
    if len(granted) != _GRANTED or len(set(granted)) != _GRANTED:
        faults.append(f"{len(granted)} roles are granted: {granted}")
    if [STACK] != list(aws["stacks"]):
        faults.append(f"stacks {list(aws['stacks'])}")
    faults += [
        f"{name} is {stack['StackStatus']}"
        for name, stack in aws["stacks"].items()
        if stack["StackStatus"] not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    ]
    if len(aws["apis"]) != 1:
        faults.append(f"{len(aws['apis'])} APIs")
    faults += [f"no layer {name}" for name in _LAYERS if name not in azure["layers"]]
    site = azure["site"]
    if site.get("state") != "running":
        faults.append(f"the Function App is {site.get('state')}: {site.get('problem')}")
    elif site["package_sha256"] not in site["tags"].values():
        faults.append("the Function App's tag names another package than the one that runs")
    if len(contents["hosts"]) != 1:
        faults.append(f"{len(contents['hosts'])} Functions hosts run")
    return faults


def _read_graph(entra: dict[str, str]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {entra['administrator_token']}"}
    with httpx.Client(base_url=f"{entra['graph_url']}/v1.0", headers=headers, timeout=30) as graph:

        def listed(path: str) -> list[dict[str, Any]]:
            answer = graph.get(path)
            answer.raise_for_status()
            document = answer.json()
            assert "@odata.nextLink" not in document
            values: list[dict[str, Any]] = document["value"]
            return sorted(values, key=lambda each: str(each["id"]))

        principals = listed("/servicePrincipals")
        return {
            "applications": listed("/applications"),
            "principals": principals,
            "assignments": [
                each
                for principal in principals
                for each in listed(f"/servicePrincipals/{principal['id']}/appRoleAssignedTo")
            ],
        }


def _read_aws(endpoint_url: str) -> dict[str, Any]:
    aws = LocalAws(endpoint_url)

    def client(service: str) -> Any:
        return aws.session().client(service, endpoint_url=endpoint_url, config=aws.config)  # type: ignore[call-overload]

    formation, functions, gateway = client("cloudformation"), client("lambda"), client("apigateway")
    stacks = {each["StackName"]: _plain(each) for each in formation.describe_stacks()["Stacks"]}
    return {
        "stacks": stacks,
        "resources": {
            name: _plain(formation.list_stack_resources(StackName=name)["StackResourceSummaries"])
            for name in stacks
        },
        "functions": {
            each["FunctionName"]: _plain(
                functions.get_function_configuration(FunctionName=each["FunctionName"])
            )
            for each in functions.list_functions()["Functions"]
        },
        "apis": [_plain(each) for each in gateway.get_rest_apis()["items"]],
    }


def _plain(answer: Any) -> Any:
    """Return the answer without what is only of the request."""
    if isinstance(answer, dict):
        return {k: _plain(v) for k, v in answer.items() if k != "ResponseMetadata"}
    return [_plain(each) for each in answer] if isinstance(answer, list) else answer


def _read_azure(url: str) -> dict[str, Any]:
    with httpx.Client(base_url=url, timeout=30) as azure:
        layers = {name: azure.get(f"/deployments/{name}") for name in _LAYERS}
        found = {name: each.json() for name, each in layers.items() if each.status_code == 200}
        site = found.get("app", {}).get("outputs", {}).get("functionAppName")
        return {
            "layers": found,
            "tags": azure.get("/tags").json(),
            "site": azure.get(f"/sites/{site}").json() if site else {},
        }


def _hosts_under(process_id: int) -> Iterator[int]:
    """Yield the Functions hosts among the process's descendants: another one after a restart."""
    for each in descendants_of(process_id):
        try:
            command = Path(f"/proc/{each}/cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if command[1:3] == ["-m", _HOST]:
            yield each
