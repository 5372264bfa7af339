"""A small stand-in for `az`: keeps groups, deployments, tags and a site in `az.json` beside it.

It answers as Azure Resource Manager does, as far as `AzureCli` looks. `refuse` in the file names a
command and what is then said on standard error; `calls` holds every command line.
"""

import json
import sys
import uuid
from pathlib import Path

STATE = Path(__file__).with_name("az.json")
GROUP = "/subscriptions/s/resourceGroups/rg-bridge-dev/providers"
LISTED_SLASHES = 8
MADE = [
    f"{GROUP}/Microsoft.Storage/storageAccounts/st",
    f"{GROUP}/Microsoft.Storage/storageAccounts/st/blobServices/default",
    f"{GROUP}/Microsoft.Storage/storageAccounts/st/providers/Microsoft.Authorization/roleAssignments/r",
    f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/id",
]


def refuse(said: str, code: int = 3) -> None:
    """End as az does, which has a code of its own for what is not there."""
    sys.stderr.write(f"ERROR: {said}\n")
    sys.exit(code)


def main() -> None:  # noqa: C901, PLR0912 - a case for each command
    """Answer one command."""
    state = json.loads(STATE.read_text())
    words = sys.argv[1:]
    options = {
        word: words[index + 1] for index, word in enumerate(words[:-1]) if word.startswith("--")
    }
    command = " ".join(words[: next(i for i, word in enumerate(words) if word.startswith("--"))])
    state["calls"].append(words)
    STATE.write_text(json.dumps(state))
    for refused, said in state["refuse"].items():
        if command == refused:
            refuse(said, 1)
    answer = {}
    match command:
        case "account show":
            answer = state["account"]
        case "group show":
            if not state["group"]:
                refuse("(ResourceGroupNotFound) Resource group 'rg' could not be found.")
            answer = state["group"]
        case "group create":
            state["group"] = answer = {"tags": {}}
        case "deployment group show":
            name = options["--name"]
            if name not in state["deployments"]:
                refuse(f"(DeploymentNotFound) Deployment '{name}' could not be found.")
            answer = state["deployments"][name]
        case "deployment group create":
            given = json.loads(Path(options["--parameters"].removeprefix("@")).read_text())
            answer = {
                "properties": {
                    "provisioningState": "Succeeded",
                    "correlationId": str(uuid.uuid4()),
                    "outputs": {"given": {"type": "Int", "value": len(given["parameters"])}},
                    "outputResources": [{"id": each} for each in MADE],
                }
            }
            state["deployments"][options["--name"]] = answer
            state["resources"] = [each for each in MADE if each.count("/") == LISTED_SLASHES]
        case "resource list":
            answer = state["resources"]
        case "tag update":
            name, _equals, value = options["--tags"].partition("=")
            holder = "site" if "/sites/" in options["--resource-id"] else "group"
            state[holder].setdefault("tags", {})[name] = value
        case "functionapp show":
            if not state["site"]:
                refuse("(ResourceNotFound) The Resource was not found.")
            answer = state["site"]
        case "functionapp deployment source config-zip":
            state["published"] = options["--src"]
        case _:
            refuse(f"{command} is not known here", 2)
    STATE.write_text(json.dumps(state))
    sys.stdout.write(json.dumps(answer))


main()
