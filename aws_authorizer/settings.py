"""The authorizer's settings, read from the environment once. Every default is the safe one."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from aws_authorizer.key_set import KeySetPolicy
from shared.contract import (
    CONTRACT_SETTINGS,
    ENTRA_AUTHORITY,
    ENTRA_CLOUD,
    ENTRA_TENANT_ID,
    ApiIdentity,
    read_api_identity,
)
from shared.guid import parse_guid
from shared.routes import PROTECTED_ROUTES
from shared.setting_parsers import api_key, lent_roles, seconds, switch, whole_number
from shared.settings_reader import Setting, SettingProblem, SettingsError, reading_settings
from shared.trace_context import LAMBDA_TRACE, find_trace_id

_AUDIENCE: Final = r"(?:api|https)://[!-~]+"
_ROLES: Final = frozenset(route.role.value for route in PROTECTED_ROUTES if route.role is not None)
_MAX_CACHE_SIZE: Final = 100_000
BUNDLED_KEY_SET: Final = "key_set.json"
"""The file beside the packages in the deployment bundle that holds the key set, if one is there."""


def _list_of(parse_item: Callable[[str], str]) -> Callable[[str], frozenset[str]]:
    def parse(text: str) -> frozenset[str]:
        return frozenset(parse_item(item.strip()) for item in text.split(",") if item.strip())

    return parse


def _parse_client_ids(text: str) -> frozenset[str]:
    client_ids = _list_of(parse_guid)(text)
    if not client_ids:
        raise ValueError("nobody is allowed")
    return client_ids


def _parse_audience(text: str) -> str:
    if re.fullmatch(_AUDIENCE, text):
        return text
    return parse_guid(text)


class UsagePlanKeys:
    """Says which API key a caller's calls are counted by; its repr shows no key."""

    __slots__ = ("_by_client_id",)

    def __init__(self, by_client_id: Mapping[str, str]) -> None:
        """Take the key of each application that has one, by its client ID."""
        self._by_client_id = by_client_id

    def find(self, client_id: str) -> str | None:
        """Return the application's API key, or None if it has none."""
        return self._by_client_id.get(client_id)


def _parse_usage_plan_keys(text: str) -> UsagePlanKeys:
    keys: dict[str, str] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        client_id, equals, key = (part.strip() for part in item.partition("="))
        client_id = parse_guid(client_id)
        if not equals or client_id in keys:
            raise ValueError("no key, or a client ID twice")
        keys[client_id] = api_key(key)
    return UsagePlanKeys(keys)


def _optional_seconds(at_least: float, at_most: float) -> Callable[[str], float | None]:
    parse = seconds(at_least, at_most)
    return lambda text: parse(text) if text else None


ALLOWED_CLIENT_IDS: Final = Setting(
    "ALLOWED_CLIENT_IDS",
    "The applications that may call the API; no other gets in, whatever its token says.",
    "application (client) IDs, separated by commas",
    _parse_client_ids,
    example="00000000-0000-0000-0000-000000000001",
)
ADDITIONAL_TENANT_IDS: Final = Setting(
    "ADDITIONAL_TENANT_IDS",
    "Further tenants of the same cloud whose tokens are accepted.",
    "tenant GUIDs, separated by commas, or nothing",
    _list_of(parse_guid),
    default="",
)
ADDITIONAL_AUDIENCES: Final = Setting(
    "ADDITIONAL_AUDIENCES",
    "Further audiences that mean this API: client IDs for both token versions, URIs for v1.0.",
    "client IDs or App ID URIs, separated by commas, or nothing",
    _list_of(_parse_audience),
    default="",
)
DELEGATED_SCOPES: Final = Setting(
    "DELEGATED_SCOPES",
    "The scopes with which an application may call on a user's behalf, each with those of the"
    " user's app roles that it lends the application; without any, none may.",
    "items such as Records.View=Records.Read, with + between several roles, separated by commas,"
    " or nothing",
    lent_roles(_ROLES),
    default="",
)
USAGE_PLAN_KEYS: Final = Setting(
    "USAGE_PLAN_KEYS",
    "The API key by which a usage plan counts an application's calls to a REST API whose API key"
    " source is AUTHORIZER; an application without one is counted by none.",
    "items such as <client ID>=<API key of 20 to 128 characters>, separated by commas, or nothing",
    _parse_usage_plan_keys,
    default="",
    is_secret=True,
)
HTTP_API_SIMPLE_RESPONSES: Final = Setting(
    "HTTP_API_SIMPLE_RESPONSES",
    "Whether an HTTP API's authorizer has simple responses enabled.",
    "true or false",
    switch,
    default="false",
)
HTTP_API_CACHES_BY_ROUTE: Final = Setting(
    "HTTP_API_CACHES_BY_ROUTE",
    "Whether $context.routeKey is among the identity sources of an HTTP API's authorizer, so that"
    " the gateway caches a simple response for one route only.",
    "true or false",
    switch,
    default="false",
)
CLOCK_LEEWAY_SECONDS: Final = Setting(
    "CLOCK_LEEWAY_SECONDS",
    "How many seconds the clocks of Entra ID and of the function may differ.",
    "a number from 0 to 300",
    seconds(0, 300),
    default="60",
)
KEY_SET_FILE: Final = Setting(
    "KEY_SET_FILE",
    "A key set from the deployment bundle, used until the first fetch, so that a cold start needs"
    f" no network. Nothing means {BUNDLED_KEY_SET} beside the packages, if it is there.",
    "the path of a file that `python -m aws_authorizer.bundled_key_set` has written, or nothing",
    str,
    default="",
)
KEY_SET_FILE_MAX_AGE_SECONDS: Final = Setting(
    "KEY_SET_FILE_MAX_AGE_SECONDS",
    "How old the bundled key set may be; an older one is not used. Nothing means"
    " KEY_SET_MAX_STALE_SECONDS, as old as a fetched one.",
    "a number from 0 to 7776000, or nothing",
    _optional_seconds(0, 7_776_000),
    default="",
)
KEY_SET_MAX_AGE_SECONDS: Final = Setting(
    "KEY_SET_MAX_AGE_SECONDS",
    "For how long a fetched key set is fresh at most, whatever Entra ID's Cache-Control allows.",
    "a number from 300 to 86400",
    seconds(300, 86_400),
    default="3600",
)
KEY_SET_MAX_STALE_SECONDS: Final = Setting(
    "KEY_SET_MAX_STALE_SECONDS",
    "For how long a fetched key set is used at most while no newer one can be had.",
    "a number from 300 to 604800, at least KEY_SET_MAX_AGE_SECONDS",
    seconds(300, 604_800),
    default="86400",
)
KEY_SET_COOL_DOWN_SECONDS: Final = Setting(
    "KEY_SET_COOL_DOWN_SECONDS",
    "How long after an attempt to fetch the key set that did not find its key there is no other.",
    "a number from 1 to 3600",
    seconds(1, 3_600),
    default="30",
)
KEY_SET_FETCH_SECONDS: Final = Setting(
    "KEY_SET_FETCH_SECONDS",
    "The deadline of one attempt; keep it well below the function's own time-out.",
    "a number from 0.1 to 10",
    seconds(0.1, 10),
    default="2",
)
VERIFIED_TOKEN_CACHE_SIZE: Final = Setting(
    "VERIFIED_TOKEN_CACHE_SIZE",
    "How many verified tokens are remembered, so that a repeated one is not verified again.",
    f"a whole number from 0 to {_MAX_CACHE_SIZE}",
    whole_number(0, _MAX_CACHE_SIZE),
    default="1024",
)

SETTINGS: Final[tuple[Setting[object], ...]] = (
    *CONTRACT_SETTINGS,
    ALLOWED_CLIENT_IDS,
    ADDITIONAL_TENANT_IDS,
    ADDITIONAL_AUDIENCES,
    DELEGATED_SCOPES,
    USAGE_PLAN_KEYS,
    HTTP_API_SIMPLE_RESPONSES,
    HTTP_API_CACHES_BY_ROUTE,
    CLOCK_LEEWAY_SECONDS,
    KEY_SET_FILE,
    KEY_SET_FILE_MAX_AGE_SECONDS,
    KEY_SET_MAX_AGE_SECONDS,
    KEY_SET_MAX_STALE_SECONDS,
    KEY_SET_COOL_DOWN_SECONDS,
    KEY_SET_FETCH_SECONDS,
    VERIFIED_TOKEN_CACHE_SIZE,
)
"""Every setting of the authorizer."""


class Settings(NamedTuple):
    """The settings as values."""

    api: ApiIdentity
    allowed_client_ids: frozenset[str]
    additional_tenant_ids: frozenset[str]
    additional_audiences: frozenset[str]
    delegated_scopes: Mapping[str, frozenset[str]]
    usage_plan_keys: UsagePlanKeys
    has_simple_responses: bool
    caches_by_route: bool
    leeway_seconds: float
    key_set_file: str
    """The path of the bundled key set; empty if there is none."""
    key_set_file_max_age_seconds: float
    key_set_policy: KeySetPolicy
    key_set_fetch_seconds: float
    verified_token_cache_size: int


def _find_key_set_file(configured: str) -> str:
    if configured:
        return configured
    # Not pathlib, which would be imported only for this, at every cold start.
    beside_packages = os.path.join(os.path.dirname(__file__), os.pardir, BUNDLED_KEY_SET)  # noqa: PTH118, PTH120
    return beside_packages if os.path.exists(beside_packages) else ""  # noqa: PTH110


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings, from the process environment unless another one is given.

    Raises:
        SettingsError: it names every setting that is missing or not valid.

    """
    with reading_settings(os.environ if environment is None else environment) as reader:
        policy = KeySetPolicy(
            max_age=reader.read(KEY_SET_MAX_AGE_SECONDS),
            max_stale=reader.read(KEY_SET_MAX_STALE_SECONDS),
            cool_down=reader.read(KEY_SET_COOL_DOWN_SECONDS),
        )
        bundled_max_age = reader.read(KEY_SET_FILE_MAX_AGE_SECONDS)
        settings = Settings(
            api=read_api_identity(reader),
            allowed_client_ids=reader.read(ALLOWED_CLIENT_IDS),
            additional_tenant_ids=reader.read(ADDITIONAL_TENANT_IDS),
            additional_audiences=reader.read(ADDITIONAL_AUDIENCES),
            delegated_scopes=reader.read(DELEGATED_SCOPES),
            usage_plan_keys=reader.read(USAGE_PLAN_KEYS),
            has_simple_responses=reader.read(HTTP_API_SIMPLE_RESPONSES),
            caches_by_route=reader.read(HTTP_API_CACHES_BY_ROUTE),
            leeway_seconds=reader.read(CLOCK_LEEWAY_SECONDS),
            key_set_file=_find_key_set_file(reader.read(KEY_SET_FILE)),
            key_set_file_max_age_seconds=(
                policy.max_stale if bundled_max_age is None else bundled_max_age
            ),
            key_set_policy=policy,
            key_set_fetch_seconds=reader.read(KEY_SET_FETCH_SECONDS),
            verified_token_cache_size=reader.read(VERIFIED_TOKEN_CACHE_SIZE),
        )
    if policy.max_stale < policy.max_age:
        problem = "is shorter than KEY_SET_MAX_AGE_SECONDS; expected at least as long"
        raise SettingsError((SettingProblem(KEY_SET_MAX_STALE_SECONDS.name, problem),))
    return settings


def load_key_set_url(environment: Mapping[str, str] | None = None) -> str:
    """Return where the tenant publishes its keys; all that a build needs to know.

    Raises:
        SettingsError: it names every setting that is missing or not valid.

    """
    with reading_settings(os.environ if environment is None else environment) as reader:
        tenant_id = reader.read(ENTRA_TENANT_ID)
        cloud = reader.read(ENTRA_CLOUD)
        local = reader.read(ENTRA_AUTHORITY)
    return (local or cloud).key_set_url(tenant_id)


def load_trace_id(environment: Mapping[str, str] = os.environ) -> str:
    """Return the trace of the invocation under way, which changes with each; empty if it has none.

    API Gateway hands it on whatever kind of authorizer it is: one of kind TOKEN sees no header of
    the request but the token.
    """
    return find_trace_id(environment.get(LAMBDA_TRACE, ""))
