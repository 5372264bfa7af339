"""Every name that follows from bridge.toml, so that nobody writes one twice."""

import hashlib
from dataclasses import dataclass

from deployment.bridge_file import Environment

_HASH_DIGITS = 6
_STORAGE_NAME_STEM = 16  # of 24 characters, two are "st" and six the hash


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment's resources in Azure, Entra ID and AWS."""

    prefix: str
    resource_group: str
    identity: str
    function_app: str
    storage_account: str
    plan: str
    insights: str
    workspace: str
    stack: str
    github_stack: str
    github_identity: str
    registration: str
    """Display name and `uniqueName` of the API's registration."""
    app_id_uri: str
    """The API's Application ID URI, known before the registration is there."""


def names_of(environment: Environment) -> Names:
    """Return the environment's names.

    What must be the only one of its name in the world ends in a hash of subscription, name and
    environment, so another subscription's is another one.
    """
    prefix = f"{environment.bridge_name}-{environment.name}"
    unique = f"{environment.azure.subscription_id}/{environment.bridge_name}/{environment.name}"
    digits = hashlib.sha256(unique.encode()).hexdigest()[:_HASH_DIGITS]
    stem = (environment.bridge_name + environment.name).replace("-", "")[:_STORAGE_NAME_STEM]
    return Names(
        prefix=prefix,
        resource_group=f"rg-{prefix}",
        identity=f"id-{prefix}",
        function_app=f"func-{prefix}-{digits}",
        storage_account=f"st{stem}{digits}",
        plan=f"plan-{prefix}",
        insights=f"appi-{prefix}",
        workspace=f"log-{prefix}",
        stack=prefix,
        github_stack=f"{prefix}-github",
        github_identity=f"id-{prefix}-github",
        registration=f"{prefix}-api",
        app_id_uri=f"api://{environment.entra.tenant_id}/{prefix}-api",
    )
