"""Turns the SAM template into its local variant; a test holds what differs to what stands here."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

LOCAL_RUNTIME: Final = "provided.al2023"
"""The runtime that starts the bundle's own `bootstrap`, which execs AWS's runtime client.

MiniStack would run `python3.13` inside its own interpreter, where a dependency that is missing from
the bundle goes unnoticed.
"""


def functions_in(template: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the logical ID and the properties of each function in the template."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield logical_id, resource["Properties"]


def overlay_for_local(
    template: Mapping[str, Any],
    *,
    code_uris: Mapping[str, str],
    parameters: Mapping[str, str],
    authority: str,
) -> dict[str, Any]:
    """Return a copy of the template that the local AWS can run.

    Each function's code comes from its `code_uris` entry, as `sam package` would write it; the
    runtime is `LOCAL_RUNTIME`; the functions that know the tenant are told of the local Entra
    emulator, `authority`; and each of the `parameters` has its value for a default, because
    MiniStack shows the SAM transform only the defaults. Nothing else changes.
    """
    local = deepcopy(dict(template))
    for name, value in parameters.items():
        local["Parameters"][name]["Default"] = value
    defaults = local.get("Globals", {}).get("Function", {})
    if "Runtime" in defaults:
        defaults["Runtime"] = LOCAL_RUNTIME
    for logical_id, properties in functions_in(local):
        properties["CodeUri"] = code_uris[logical_id]
        if "Runtime" in properties:
            properties["Runtime"] = LOCAL_RUNTIME
        variables = properties.get("Environment", {}).get("Variables", {})
        if "ENTRA_TENANT_ID" in variables:
            variables["ENTRA_AUTHORITY"] = authority
    return local
