"""Every key that bridge.toml can have: its meaning, how it is read, and what it is without a value.

`bridge_file.py` reads the file by these; `docs/deploy.md` lists them, which a test holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from azure_function_app.declared_settings import CallerAuthentication
from deployment.toml_values import (
    guid,
    guids,
    number,
    one_of,
    optional_guid,
    scalars,
    switch,
    tags,
    text_of,
)
from shared.entra import CLOUDS

REQUIRED: Final = object()
"""The default of a key that has none."""

_EXAMPLE_GUID: Final = "00000000-0000-0000-0000-000000000001"
_HOST: Final = (
    r"(?=.{4,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
)

_HEX: Final = "[0-9A-Fa-f]"


@dataclass(frozen=True, slots=True)
class Key[T]:
    """One key of a table."""

    name: str
    meaning: str
    """What it is for, in one sentence."""
    expects: str
    """What a right value looks like: completes the sentence "expected ..."."""
    parse: Callable[[object], T]
    """Turns what TOML has into the value; raises ValueError for anything else."""
    example: object
    """A right value as TOML has it; it stands in for a wrong one until all problems are raised."""
    default: object = REQUIRED
    """The value as TOML has it where the key is absent."""


NAME: Final = Key(
    "name",
    "What every resource's name begins with.",
    "2 to 16 small letters, digits and hyphens, beginning with a letter and not ending in a hyphen",
    text_of(r"[a-z][a-z0-9-]{0,14}[a-z0-9]"),
    example="bridge",
)

TENANT_ID: Final = Key(
    "tenant_id",
    "The Entra ID tenant that issues the tokens.",
    "the tenant's GUID, as on the Entra overview page",
    guid,
    example=_EXAMPLE_GUID,
)
CLOUD: Final = Key(
    "cloud",
    "The Entra ID cloud that the tenant lives in.",
    f"one of {', '.join(CLOUDS)}",
    one_of(*CLOUDS),
    example="public",
    default="public",
)
TOKEN_VERSION: Final = Key(
    "token_version",
    "The version of the tokens that the API's registration issues.",
    "2, or 1 for an API whose callers know version 1.0 only",
    one_of(1, 2),
    example=2,
    default=2,
)

SUBSCRIPTION_ID: Final = Key(
    "subscription_id",
    "The Azure subscription.",
    "the subscription's GUID",
    guid,
    example=_EXAMPLE_GUID,
)
AZURE_REGION: Final = Key(
    "region",
    "The Azure region.",
    "a region's name in small letters, such as westeurope"
    " (`az functionapp list-flexconsumption-locations` lists them)",
    text_of(r"[a-z]{3,30}[0-9]?"),
    example="westeurope",
)
VNET: Final = Key(
    "vnet",
    "Whether the Function App calls out through a virtual network, and reaches its storage by"
    " private endpoints.",
    "true or false",
    switch,
    example=False,
    default=False,
)
ZONE_REDUNDANT: Final = Key(
    "zone_redundant",
    "Whether the instances and the storage are spread over availability zones.",
    "true or false",
    switch,
    example=False,
    default=False,
)

KEY_VAULT: Final = Key(
    "key_vault",
    "The Key Vault that settings refer to; it must be in the environment's resource group.",
    "a vault's name, or nothing",
    text_of(r"[A-Za-z](?:-?[A-Za-z0-9]){2,23}", may_be_empty=True),
    example="",
    default="",
)

ALERT_ACTION_GROUP_ID: Final = Key(
    "alert_action_group_id",
    "The action group of Azure Monitor that is told when the sync or the sign-in fails; without one"
    " there are no alerts in Azure.",
    "the resource ID of an action group, or nothing",
    text_of(
        rf"/subscriptions/{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}/resourceGroups/[\w.()-]{{1,90}}"
        r"/providers/[Mm]icrosoft\.[Ii]nsights/actionGroups/[^/<>%&?\x00-\x1f]{1,260}",
        may_be_empty=True,
    ),
    example="",
    default="",
)
SYNC_ALERT_WINDOW: Final = Key(
    "sync_alert_window",
    "For how long there may be no successful run of the sync before the alert.",
    "PT30M, PT1H, PT6H or P1D; longer than the schedule's runs are apart",
    one_of("PT30M", "PT1H", "PT6H", "P1D"),
    example="PT1H",
    default="PT1H",
)
TAGS: Final = Key(
    "tags",
    "Tags of every resource in Azure.",
    "a table of at most 40 texts, names up to 128 characters without <>%&\\?/ and values up to 256;"
    " not azd-service-name, nor a name that begins with bridge-digest",
    tags,
    example={},
    default={},
)

ACCOUNT_ID: Final = Key(
    "account_id",
    "The AWS account.",
    "twelve digits in quotes",
    text_of(r"[0-9]{12}"),
    example="123456789012",
)
AWS_REGION: Final = Key(
    "region",
    "The AWS region.",
    "a region's name, such as eu-west-1",
    text_of(r"[a-z]{2}(?:-[a-z]+)+-[0-9]"),
    example="eu-west-1",
)
PROFILE: Final = Key(
    "profile",
    "The profile of the AWS configuration to sign in with.",
    "a profile's name; nothing for the default one and for a pipeline",
    text_of(r"[A-Za-z0-9_@.+/][A-Za-z0-9_@.+/-]*", may_be_empty=True),
    example="",
    default="",
)
CUSTOM_DOMAIN: Final = Key(
    "custom_domain",
    "The API's own domain. The address that API Gateway makes up is then closed, and the path has"
    " no stage.",
    "a host name in small letters, or nothing",
    text_of(_HOST, may_be_empty=True),
    example="",
    default="",
)
CERTIFICATE_ARN: Final = Key(
    "certificate_arn",
    "The domain's certificate in ACM, in the API's account and region.",
    "the ARN of a certificate, or nothing",
    text_of(r"arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]{36}", may_be_empty=True),
    example="",
    default="",
)
HOSTED_ZONE_ID: Final = Key(
    "hosted_zone_id",
    "The hosted zone in Route 53 that gets the domain's record.",
    "a zone's ID; nothing where DNS is elsewhere",
    text_of(r"Z[A-Z0-9]{4,31}", may_be_empty=True),
    example="",
    default="",
)
ALARM_TOPIC_ARN: Final = Key(
    "alarm_topic_arn",
    "The SNS topic that alarms and their ends are sent to.",
    "the ARN of a topic in the API's region, or nothing",
    text_of(r"arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}", may_be_empty=True),
    example="",
    default="",
)
ARCHITECTURE: Final = Key(
    "architecture",
    "What processors the Lambdas run on, and so what their bundles are built for.",
    "arm64 or x86_64",
    one_of("arm64", "x86_64"),
    example="arm64",
    default="arm64",
)
TEMPLATE_PARAMETERS: Final = Key(
    "parameters",
    "Further parameters of infra/aws/template.yaml, by their own names.",
    "a table of texts, numbers and switches",
    scalars,
    example={},
    default={},
)

REPOSITORY: Final = Key(
    "repository",
    "The GitHub repository whose workflows may deploy.",
    "owner/name",
    text_of(r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}"),
    example="owner/name",
)
SUBJECT_PREFIX: Final = Key(
    "subject_prefix",
    "How the subject of the repository's tokens begins, which has numbers for repositories made"
    " since 15 July 2026.",
    "repo:owner@1/name@2 (`gh api repos/owner/name/actions/oidc/customization/sub` tells), or"
    " nothing for repo:owner/name",
    text_of(r"repo:[A-Za-z0-9-]+(?:@[0-9]+)?/[A-Za-z0-9._-]+(?:@[0-9]+)?", may_be_empty=True),
    example="",
    default="",
)

STAGE: Final = Key(
    "stage",
    "The first segment of every path of the API, unless it has a custom domain.",
    "letters, digits and underscores; nothing for the environment's name",
    text_of(r"[A-Za-z0-9_]{1,128}", may_be_empty=True),
    example="dev",
    default="",
)
ALLOWED_CLIENT_IDS: Final = Key(
    "allowed_client_ids",
    "Further applications that may call the API, beside the Function App.",
    "a list of different application (client) IDs",
    guids,
    example=[],
    default=[],
)
DEVELOPERS: Final = Key(
    "developers",
    "Users who may call the API from their own machines, as `bridge smoke` does.",
    "a list of different object IDs of users",
    guids,
    example=[],
    default=[],
)
API_CLIENT_ID: Final = Key(
    "api_client_id",
    "The API's registration, once it is there, for sign-ins that may not look into Entra ID, such"
    " as a pipeline's.",
    "the client ID that the step `entra` prints, or nothing",
    optional_guid,
    example="",
    default="",
)

INSTANCE_MEMORY_MB: Final = Key(
    "instance_memory_mb",
    "The memory of an instance, and with it the share of a processor: a quarter, one, two.",
    "512, 2048 or 4096",
    one_of(512, 2048, 4096),
    example=2048,
    default=2048,
)
MAXIMUM_INSTANCE_COUNT: Final = Key(
    "maximum_instance_count",
    "How many instances there are at most.",
    "a whole number from 1 to 1000",
    number(1, 1000),
    example=40,
    default=40,
)
PER_INSTANCE_CONCURRENCY: Final = Key(
    "per_instance_concurrency",
    "How many requests one instance gets at once before there is another instance.",
    "a whole number from 1 to 1000, no more than the app lets in; 0 for as many as fit into its"
    " memory",
    number(0, 1000),
    example=0,
    default=0,
)
ALWAYS_READY_HTTP: Final = Key(
    "always_ready_http",
    "How many instances for requests are never switched off.",
    "a whole number from 0 to 20; with zone_redundant 0, or 2 and more",
    number(0, 20),
    example=0,
    default=0,
)
ALWAYS_READY_SYNC: Final = Key(
    "always_ready_sync",
    "How many instances for the sync timer are never switched off.",
    "a whole number from 0 to 20; with zone_redundant 0, or 2 and more",
    number(0, 20),
    example=0,
    default=0,
)

PROXY_AUTHENTICATION: Final = Key(
    "authentication",
    "How the proxy's callers prove who they are.",
    f"one of {', '.join(CallerAuthentication)}",
    one_of(*(kind.value for kind in CallerAuthentication)),
    example="function_key",
    default="function_key",
)
CALLER_CLIENT_IDS: Final = Key(
    "caller_client_ids",
    "The applications that may call the proxy, for easy_auth; without any, every application of the"
    " tenant that gets a token for it.",
    "a list of different application (client) IDs",
    guids,
    example=[],
    default=[],
)
SIGN_IN_CLIENT_ID: Final = Key(
    "sign_in_client_id",
    "The registration that the proxy's callers sign in to, for easy_auth; not the API's.",
    "an application (client) ID, or nothing",
    optional_guid,
    example="",
    default="",
)

TABLES: Final[Mapping[str, tuple[Key[object], ...]]] = {
    "entra": (TENANT_ID, CLOUD, TOKEN_VERSION),
    "azure": (
        SUBSCRIPTION_ID,
        AZURE_REGION,
        VNET,
        ZONE_REDUNDANT,
        KEY_VAULT,
        ALERT_ACTION_GROUP_ID,
        SYNC_ALERT_WINDOW,
        TAGS,
    ),
    "aws": (
        ACCOUNT_ID,
        AWS_REGION,
        PROFILE,
        CUSTOM_DOMAIN,
        CERTIFICATE_ARN,
        HOSTED_ZONE_ID,
        ALARM_TOPIC_ARN,
        ARCHITECTURE,
        TEMPLATE_PARAMETERS,
    ),
    "github": (REPOSITORY, SUBJECT_PREFIX),
    "function_app": (
        INSTANCE_MEMORY_MB,
        MAXIMUM_INSTANCE_COUNT,
        PER_INSTANCE_CONCURRENCY,
        ALWAYS_READY_HTTP,
        ALWAYS_READY_SYNC,
    ),
    "proxy": (PROXY_AUTHENTICATION, SIGN_IN_CLIENT_ID, CALLER_CLIENT_IDS),
}
"""The tables; each may stand at the top, for every environment, and in an environment, where each
key that is there counts before the one at the top."""

SETTINGS_TABLE: Final = "settings"
"""A table as those, whose keys are the declared settings of the deployables."""

ENVIRONMENT_KEYS: Final[tuple[Key[object], ...]] = (
    STAGE,
    ALLOWED_CLIENT_IDS,
    DEVELOPERS,
    API_CLIENT_ID,
)
"""The keys of an environment itself."""
