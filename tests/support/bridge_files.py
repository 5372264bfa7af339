"""bridge.toml files for tests: the example, and variants that ask for what it leaves out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deployment.bridge_file import Environment, parse_bridge_file
from deployment.contradictions import check_bridge_file
from deployment.parameters.template_parameters import (
    TemplateParameter,
    load_template_parameters,
)

CHECKOUT: Final = Path(__file__).parents[2]
EXAMPLE: Final = (CHECKOUT / "bridge.toml.example").read_text(encoding="utf-8")
DECLARED: Final[Mapping[str, TemplateParameter]] = load_template_parameters(CHECKOUT)

SMALL: Final = """
name = "bridge"
[entra]
tenant_id = "11111111-1111-4111-8111-111111111111"
[azure]
subscription_id = "22222222-2222-4222-8222-222222222222"
region = "westeurope"
[aws]
account_id = "123456789012"
region = "eu-west-1"
[environments.dev]
"""
"""No more than there must be."""

_CERTIFICATE: Final = (
    "arn:aws:acm:eu-west-1:123456789012:certificate/44444444-4444-4444-8444-444444444444"
)
_ACTION_GROUP: Final = (
    "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/rg-alerts"
    "/providers/Microsoft.Insights/actionGroups/on call"
)
VARIANTS: Final[Mapping[str, str]] = {
    "small": SMALL,
    "custom domain": f"""{SMALL}
[environments.dev.aws]
custom_domain = "api.example.com"
certificate_arn = "{_CERTIFICATE}"
hosted_zone_id = "Z0123456789"
profile = "dev"
architecture = "x86_64"
parameters = {{ ThrottleRate = 500, Tracing = true }}
""",
    "github": f"""{SMALL}
[github]
repository = "owner/name"
subject_prefix = "repo:owner@1/name@2"
[environments.dev.aws]
custom_domain = "api.example.com"
certificate_arn = "{_CERTIFICATE}"
parameters = {{ TruststoreUri = "s3://bucket/authorities.pem" }}
""",
    "vnet": f"""{SMALL}
[environments.dev.azure]
vnet = true
zone_redundant = true
key_vault = "vault"
alert_action_group_id = "{_ACTION_GROUP}"
sync_alert_window = "P1D"
tags = {{ team = "data", "cost center" = 7 }}
[environments.dev.function_app]
always_ready_http = 2
per_instance_concurrency = 16
[environments.dev.settings]
AWS_API_KEY = "@Microsoft.KeyVault(VaultName=vault;SecretName=api-key)"
SYNC_FAN_OUT = true
SYNC_PAGE_SIZE = 1000
""",
    "sign-in": f"""{SMALL}
developers = ["33333333-3333-4333-8333-333333333333"]
allowed_client_ids = ["55555555-5555-4555-8555-555555555555"]
api_client_id = "66666666-6666-4666-8666-666666666666"
[environments.dev.proxy]
authentication = "easy_auth"
sign_in_client_id = "77777777-7777-4777-8777-777777777777"
caller_client_ids = ["88888888-8888-4888-8888-888888888888"]
[environments.dev.settings]
PROXY_FORWARDS = "read_and_write"
DELEGATED_SCOPES = "Records.View=Records.Read"
""",
    "postgres": f"""{SMALL}
[environments.dev.entra]
token_version = 1
[environments.dev.settings]
RECORD_STORE = "postgres"
POSTGRES_HOST = "server.postgres.database.azure.com"
POSTGRES_USER = "id-bridge-dev"
ACCEPTED_TOKEN_VERSIONS = "1.0,2.0"
""",
}


def environment_of(text: str = SMALL, name: str = "dev") -> Environment:
    """Return an environment of a file that contradicts nothing."""
    bridge_file = parse_bridge_file(text)
    check_bridge_file(bridge_file, DECLARED)
    return bridge_file.environment(name)


def all_environments() -> dict[str, Environment]:
    """Return the example's environments and those of the variants."""
    return {
        "example dev": environment_of(EXAMPLE, "dev"),
        "example prod": environment_of(EXAMPLE, "prod"),
        **{name: environment_of(text) for name, text in VARIANTS.items()},
    }
