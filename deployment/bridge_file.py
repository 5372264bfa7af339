"""bridge.toml, the one file that both clouds are made from, parsed to values.

A table at the top holds for every environment; the same table in an environment overrides it, key
by key. What is wrong is raised all at once, each problem with its place. Whether the values fit
each other, and the clouds, is `contradictions.py`'s to say.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from deployment import bridge_keys as keys
from deployment.bridge_keys import ENVIRONMENT_KEYS, REQUIRED, SETTINGS_TABLE, TABLES, Key
from deployment.errors import BridgeFileError, DeploymentError, Problem
from deployment.toml_values import scalar_text

_ENVIRONMENTS: Final = "environments"
_ENVIRONMENT_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,14}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Entra:
    """The tenant."""

    tenant_id: str
    cloud: str
    token_version: int


@dataclass(frozen=True, slots=True)
class Azure:
    """Where the Function App runs."""

    subscription_id: str
    region: str
    vnet: bool
    zone_redundant: bool
    key_vault: str
    """The vault that settings refer to; empty if there is none."""
    alert_action_group_id: str
    """What is told of failures; empty if there are no alerts."""
    sync_alert_window: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Aws:
    """Where the API runs. An empty text means that there is none."""

    account_id: str
    region: str
    profile: str
    custom_domain: str
    certificate_arn: str
    hosted_zone_id: str
    alarm_topic_arn: str
    architecture: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GitHub:
    """The repository whose workflows may deploy."""

    repository: str
    subject_prefix: str
    """How the subject of its tokens begins; the given one, or what follows from the repository."""


@dataclass(frozen=True, slots=True)
class FunctionApp:
    """How large the Function App is."""

    instance_memory_mb: int
    maximum_instance_count: int
    per_instance_concurrency: int
    always_ready_http: int
    always_ready_sync: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """Who may call the Function App's proxy."""

    authentication: str
    sign_in_client_id: str
    caller_client_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, such as dev or prod, with everything that it is made from."""

    name: str
    bridge_name: str
    entra: Entra
    azure: Azure
    aws: Aws
    github: GitHub | None
    stage: str
    allowed_client_ids: tuple[str, ...]
    developers: tuple[str, ...]
    api_client_id: str
    """Empty unless the file says it."""
    function_app: FunctionApp
    proxy: Proxy
    settings: Mapping[str, str]
    """Settings of the deployables by their declared names, as texts."""
    places: Mapping[str, str]
    """Where each key that is there stands: `aws.region` at `environments.dev.aws.region`."""

    def place(self, key: str) -> str:
        """Return the place of a key such as `aws.region` or `stage` in the file."""
        table, _dot, _name = key.rpartition(".")
        default = key if table in TABLES else f"{_ENVIRONMENTS}.{self.name}.{key}"
        return self.places.get(key, default)


@dataclass(frozen=True, slots=True)
class BridgeFile:
    """A bridge.toml."""

    name: str
    environments: Mapping[str, Environment]

    def environment(self, name: str | None) -> Environment:
        """Return the environment of that name; without a name, the only one there is.

        Raises:
            DeploymentError: there is no such environment, or none named and more than one there.

        """
        listed = ", ".join(self.environments)
        if name is None:
            if len(self.environments) == 1:
                return next(iter(self.environments.values()))
            raise DeploymentError("environment_unnamed", f"Say which: --env with one of {listed}.")
        if name not in self.environments:
            raise DeploymentError(
                "environment_unknown",
                f"There is no [environments.{name}] in bridge.toml; there is {listed}.",
            )
        return self.environments[name]


def load_bridge_file(path: Path) -> BridgeFile:
    """Return the file's content.

    Raises:
        BridgeFileError: with everything that is wrong with it.
        DeploymentError: there is no such file, or it is no text.

    """
    try:
        # Windows' Notepad puts a byte order mark in front.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DeploymentError(
            "bridge_file_missing",
            f"There is no {path}: copy bridge.toml.example there and fill it in.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError("bridge_file_unreadable", f"{path} cannot be read: {error}") from None
    return parse_bridge_file(text)


def parse_bridge_file(text: str) -> BridgeFile:
    """Return what the text of a bridge.toml says.

    Raises:
        BridgeFileError: with everything that is wrong with it.

    """
    try:
        raw = tomllib.loads(text)
    # Python refuses numbers of thousands of digits, and tables in tables without end.
    except (ValueError, RecursionError) as error:
        problem = Problem("bridge_file_not_toml", "bridge.toml", f"is no TOML: {error}")
        raise BridgeFileError((problem,)) from None
    reader = _Reader()
    bridge_file = _read_file(raw, reader)
    if reader.problems:
        raise BridgeFileError(tuple(reader.problems.values()))
    return bridge_file


class _Reader:
    """Collects problems, one of a kind for each place, while values stand in for wrong ones."""

    def __init__(self) -> None:
        self.problems: dict[tuple[str, str], Problem] = {}

    def note(self, code: str, place: str, message: str) -> None:
        self.problems.setdefault((code, place), Problem(code, place, message))

    def table(self, raw: object, place: str) -> Mapping[str, Any]:
        if isinstance(raw, dict):
            return raw
        self.note("value_invalid", place, "is no table; expected a [table] with keys")
        return {}

    def value[T](self, key: Key[T], raw: Mapping[str, Any], place: str) -> T:
        if key.name not in raw:
            if key.default is REQUIRED:
                self.note("key_missing", place, f"is missing; expected {key.expects}")
                return key.parse(key.example)
            return key.parse(key.default)
        try:
            return key.parse(raw[key.name])
        except ValueError:
            # The value is not shown: what is wrong with it may be that it is a secret's.
            self.note("value_invalid", place, f"is not valid; expected {key.expects}")
            return key.parse(key.example)

    def check_names(self, raw: Mapping[str, Any], known: Iterator[str], prefix: str) -> None:
        names = tuple(known)
        for name in raw:
            if name in names:
                continue
            self.note("key_unknown", f"{prefix}{name}", f"is no key here; {_advice(name, names)}")


def _advice(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    elsewhere = [
        f"[{table}]" for table, listed in TABLES.items() if name in {key.name for key in listed}
    ]
    if elsewhere:
        return f"it belongs into {' or '.join(elsewhere)}"
    return f"expected one of {', '.join(names)}"


class _Table:
    """One table as an environment sees it: its own keys before those at the top."""

    def __init__(
        self, name: str, top: Mapping[str, Any], environment: Mapping[str, Any], prefix: str
    ) -> None:
        self.name = name
        self.raw = {**top, **environment}
        self.places = {
            f"{name}.{key}": f"{prefix}{name}.{key}" if key in environment else f"{name}.{key}"
            for key in self.raw
        }

    def read[T](self, key: Key[T], reader: _Reader) -> T:
        place = f"{self.name}.{key.name}"
        return reader.value(key, self.raw, self.places.get(place, place))


def _read_file(raw: Mapping[str, Any], reader: _Reader) -> BridgeFile:
    reader.check_names(
        raw, iter((keys.NAME.name, *TABLES, SETTINGS_TABLE, _ENVIRONMENTS)), prefix=""
    )
    name = reader.value(keys.NAME, raw, keys.NAME.name)
    top = {table: reader.table(raw.get(table, {}), table) for table in (*TABLES, SETTINGS_TABLE)}
    for table, listed in TABLES.items():
        reader.check_names(top[table], (key.name for key in listed), f"{table}.")
    environments = reader.table(raw.get(_ENVIRONMENTS, {}), _ENVIRONMENTS)
    if not environments:
        reader.note(
            "key_missing",
            _ENVIRONMENTS,
            "has no environment; expected one such as [environments.dev]",
        )
    return BridgeFile(
        name,
        {
            environment: _read_environment(environment, name, top, content, reader)
            for environment, content in environments.items()
        },
    )


def _read_environment(
    name: str,
    bridge_name: str,
    top: Mapping[str, Mapping[str, Any]],
    content: object,
    reader: _Reader,
) -> Environment:
    prefix = f"{_ENVIRONMENTS}.{name}."
    if not _ENVIRONMENT_NAME.fullmatch(name):
        reader.note(
            "value_invalid",
            prefix.rstrip("."),
            "is no environment's name; expected up to 16 small letters, digits and hyphens,"
            " beginning with a letter",
        )
    raw = reader.table(content, prefix.rstrip("."))
    own = (key.name for key in ENVIRONMENT_KEYS)
    reader.check_names(raw, iter((*own, *TABLES, SETTINGS_TABLE)), prefix)
    tables = {}
    for table in (*TABLES, SETTINGS_TABLE):
        overriding = reader.table(raw.get(table, {}), f"{prefix}{table}")
        if table in TABLES:
            known = (key.name for key in TABLES[table])
            reader.check_names(overriding, known, f"{prefix}{table}.")
        tables[table] = _Table(table, top[table], overriding, prefix)

    def own_value[T](key: Key[T]) -> T:
        return reader.value(key, raw, f"{prefix}{key.name}")

    return Environment(
        name=name,
        bridge_name=bridge_name,
        entra=_read_entra(tables["entra"], reader),
        azure=_read_azure(tables["azure"], reader),
        aws=_read_aws(tables["aws"], reader),
        github=_read_github(tables["github"], reader) if tables["github"].raw else None,
        stage=own_value(keys.STAGE) or name.replace("-", "_"),
        allowed_client_ids=own_value(keys.ALLOWED_CLIENT_IDS),
        developers=own_value(keys.DEVELOPERS),
        api_client_id=own_value(keys.API_CLIENT_ID),
        function_app=_read_function_app(tables["function_app"], reader),
        proxy=_read_proxy(tables["proxy"], reader),
        settings=_read_settings(tables[SETTINGS_TABLE], reader),
        places={
            **{key: place for table in tables.values() for key, place in table.places.items()},
            **{key: f"{prefix}{key}" for key in raw if key not in tables},
        },
    )


def _read_entra(table: _Table, reader: _Reader) -> Entra:
    return Entra(
        tenant_id=table.read(keys.TENANT_ID, reader),
        cloud=table.read(keys.CLOUD, reader),
        token_version=table.read(keys.TOKEN_VERSION, reader),
    )


def _read_azure(table: _Table, reader: _Reader) -> Azure:
    return Azure(
        subscription_id=table.read(keys.SUBSCRIPTION_ID, reader),
        region=table.read(keys.AZURE_REGION, reader),
        vnet=table.read(keys.VNET, reader),
        zone_redundant=table.read(keys.ZONE_REDUNDANT, reader),
        key_vault=table.read(keys.KEY_VAULT, reader),
        alert_action_group_id=table.read(keys.ALERT_ACTION_GROUP_ID, reader),
        sync_alert_window=table.read(keys.SYNC_ALERT_WINDOW, reader),
        tags=table.read(keys.TAGS, reader),
    )


def _read_aws(table: _Table, reader: _Reader) -> Aws:
    return Aws(
        account_id=table.read(keys.ACCOUNT_ID, reader),
        region=table.read(keys.AWS_REGION, reader),
        profile=table.read(keys.PROFILE, reader),
        custom_domain=table.read(keys.CUSTOM_DOMAIN, reader),
        certificate_arn=table.read(keys.CERTIFICATE_ARN, reader),
        hosted_zone_id=table.read(keys.HOSTED_ZONE_ID, reader),
        alarm_topic_arn=table.read(keys.ALARM_TOPIC_ARN, reader),
        architecture=table.read(keys.ARCHITECTURE, reader),
        parameters=table.read(keys.TEMPLATE_PARAMETERS, reader),
    )


def _read_github(table: _Table, reader: _Reader) -> GitHub:
    repository = table.read(keys.REPOSITORY, reader)
    prefix = table.read(keys.SUBJECT_PREFIX, reader)
    return GitHub(repository, prefix or f"repo:{repository}")


def _read_function_app(table: _Table, reader: _Reader) -> FunctionApp:
    return FunctionApp(
        instance_memory_mb=table.read(keys.INSTANCE_MEMORY_MB, reader),
        maximum_instance_count=table.read(keys.MAXIMUM_INSTANCE_COUNT, reader),
        per_instance_concurrency=table.read(keys.PER_INSTANCE_CONCURRENCY, reader),
        always_ready_http=table.read(keys.ALWAYS_READY_HTTP, reader),
        always_ready_sync=table.read(keys.ALWAYS_READY_SYNC, reader),
    )


def _read_proxy(table: _Table, reader: _Reader) -> Proxy:
    return Proxy(
        authentication=table.read(keys.PROXY_AUTHENTICATION, reader),
        sign_in_client_id=table.read(keys.SIGN_IN_CLIENT_ID, reader),
        caller_client_ids=table.read(keys.CALLER_CLIENT_IDS, reader),
    )


def _read_settings(table: _Table, reader: _Reader) -> Mapping[str, str]:
    settings = {}
    for name, value in table.raw.items():
        try:
            settings[name] = scalar_text(cast("object", value))
        except ValueError:
            place = table.places[f"{SETTINGS_TABLE}.{name}"]
            reader.note("value_invalid", place, "is not valid; expected a text, number or switch")
    return settings
