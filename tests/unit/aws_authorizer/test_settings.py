"""The authorizer's settings."""

from pathlib import Path

import pytest

from aws_authorizer.key_set import KeySetPolicy
from aws_authorizer.settings import SETTINGS, Settings, load_key_set_url, load_settings
from shared.settings_reader import SettingsError
from tests.support.keys import TENANT_ID
from tests.support.tokens import API_CLIENT_ID, CLIENT_ID, OTHER_ID

REQUIRED = {
    "ENTRA_TENANT_ID": TENANT_ID,
    "API_CLIENT_ID": API_CLIENT_ID,
    "ALLOWED_CLIENT_IDS": CLIENT_ID,
}


def problems(**environment: str) -> set[str]:
    """The names of the settings that are refused."""
    with pytest.raises(SettingsError) as caught:
        load_settings(REQUIRED | environment)
    return {problem.name for problem in caught.value.problems}


def test_when_only_the_required_settings_are_given_then_defaults_are_the_safe_ones() -> None:
    """Version 2.0 alone, no further tenants or audiences, no delegated tokens."""
    settings = load_settings(REQUIRED)

    assert frozenset({"2.0"}) == settings.api.token_versions
    assert frozenset({CLIENT_ID}) == settings.allowed_client_ids
    assert frozenset() == settings.additional_tenant_ids
    assert frozenset() == settings.additional_audiences
    assert {} == settings.delegated_scopes
    assert settings.caches_by_route is False
    assert settings.key_set_policy.max_stale == settings.key_set_file_max_age_seconds
    assert settings.has_simple_responses is False
    assert 60.0 == settings.leeway_seconds
    assert 3600.0 == settings.key_set_policy.max_age
    assert 86_400.0 == settings.key_set_policy.max_stale


def test_when_no_time_is_set_then_the_policys_own_defaults_hold() -> None:
    """Whoever builds a key set without settings gets the same times."""
    assert KeySetPolicy() == load_settings(REQUIRED).key_set_policy


def test_when_nothing_is_given_then_every_missing_setting_is_named() -> None:
    """All problems together, not one at each deployment."""
    with pytest.raises(SettingsError) as caught:
        load_settings({})

    assert set(REQUIRED) == {problem.name for problem in caught.value.problems}


def test_when_settings_are_declared_then_each_is_read() -> None:
    """A declared name that nothing reads would be a setting without effect."""
    read: set[str] = set()

    class Recording(dict[str, str]):
        def get(self, key: str, default: object = None) -> str:
            """Note the name."""
            read.add(key)
            return super().get(key, str(default))

    load_settings(Recording(REQUIRED))

    assert {setting.name for setting in SETTINGS} == read


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("ALLOWED_CLIENT_IDS", f" {CLIENT_ID.upper()} ,{OTHER_ID},", "allowed_client_ids",
         frozenset({CLIENT_ID, OTHER_ID})),
        ("ADDITIONAL_TENANT_IDS", OTHER_ID, "additional_tenant_ids", frozenset({OTHER_ID})),
        ("ADDITIONAL_AUDIENCES", f"api://b,{OTHER_ID}", "additional_audiences",
         frozenset({"api://b", OTHER_ID})),
        ("DELEGATED_SCOPES", "view=Records.Read, edit = Records.Read+Records.Write",
         "delegated_scopes",
         {"view": {"Records.Read"}, "edit": {"Records.Read", "Records.Write"}}),
        ("HTTP_API_CACHES_BY_ROUTE", "true", "caches_by_route", True),
        ("KEY_SET_MAX_STALE_SECONDS", "7200", "key_set_file_max_age_seconds", 7200.0),
        ("HTTP_API_SIMPLE_RESPONSES", "true", "has_simple_responses", True),
        ("CLOCK_LEEWAY_SECONDS", "0", "leeway_seconds", 0.0),
        ("CLOCK_LEEWAY_SECONDS", "300", "leeway_seconds", 300.0),
        ("KEY_SET_FILE", "keys.json", "key_set_file", "keys.json"),
        ("KEY_SET_FILE_MAX_AGE_SECONDS", "0", "key_set_file_max_age_seconds", 0.0),
        ("KEY_SET_FETCH_SECONDS", "0.5", "key_set_fetch_seconds", 0.5),
        ("VERIFIED_TOKEN_CACHE_SIZE", "0", "verified_token_cache_size", 0),
    ],
)  # fmt: skip
def test_when_a_setting_is_given_then_it_is_parsed(
    name: str, value: str, field: str, expected: object
) -> None:
    """Each setting reaches its field."""
    assert expected == getattr(load_settings(REQUIRED | {name: value}), field)


@pytest.mark.parametrize("length", [20, 128])
def test_when_usage_plan_keys_are_given_then_each_belongs_to_one_application(length: int) -> None:
    """API Gateway's keys have 20 to 128 characters; no other application gets one."""
    text = f" {CLIENT_ID.upper()} = {'=' * length} ,"
    keys = load_settings(REQUIRED | {"USAGE_PLAN_KEYS": text}).usage_plan_keys

    assert "=" * length == keys.find(CLIENT_ID)
    assert keys.find(OTHER_ID) is None


def test_when_settings_are_shown_then_no_usage_plan_key_is_among_them() -> None:
    """Neither their repr nor a problem with them shows a key."""
    settings = load_settings(REQUIRED | {"USAGE_PLAN_KEYS": f"{CLIENT_ID}=made-up-key-{'k' * 20}"})
    with pytest.raises(SettingsError) as caught:
        load_settings(REQUIRED | {"USAGE_PLAN_KEYS": "made-up-key"})

    assert "made-up-key" not in repr(settings)
    assert "made-up-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_CLIENT_IDS", ","),
        ("ALLOWED_CLIENT_IDS", "*"),
        ("ALLOWED_CLIENT_IDS", f"{CLIENT_ID};{OTHER_ID}"),
        ("ADDITIONAL_TENANT_IDS", "common"),
        ("ADDITIONAL_AUDIENCES", "*"),
        ("ADDITIONAL_AUDIENCES", "orders"),
        ("DELEGATED_SCOPES", "view"),
        ("DELEGATED_SCOPES", "view="),
        ("DELEGATED_SCOPES", "=Records.Read"),
        ("DELEGATED_SCOPES", "a b=Records.Read"),
        ("DELEGATED_SCOPES", "view=Records.Delete"),
        ("DELEGATED_SCOPES", "view=*"),
        ("DELEGATED_SCOPES", "view=Records.Read+"),
        ("DELEGATED_SCOPES", "view=Records.Read,view=Records.Write"),
        ("USAGE_PLAN_KEYS", "k" * 20),
        ("USAGE_PLAN_KEYS", f"{CLIENT_ID}="),
        ("USAGE_PLAN_KEYS", f"{CLIENT_ID}={'k' * 19}"),
        ("USAGE_PLAN_KEYS", f"{CLIENT_ID}={'k' * 129}"),
        ("USAGE_PLAN_KEYS", f"{CLIENT_ID}={'k' * 10} {'k' * 10}"),
        ("USAGE_PLAN_KEYS", f"{CLIENT_ID}={'é' * 20}"),
        ("USAGE_PLAN_KEYS", f"orders={'k' * 20}"),
        ("USAGE_PLAN_KEYS", f"{CLIENT_ID}={'k' * 20},{CLIENT_ID.upper()}={'l' * 20}"),
        ("HTTP_API_CACHES_BY_ROUTE", "$context.routeKey"),
        ("KEY_SET_FILE_MAX_AGE_SECONDS", "7776001"),
        ("HTTP_API_SIMPLE_RESPONSES", "yes"),
        ("HTTP_API_SIMPLE_RESPONSES", "1"),
        ("CLOCK_LEEWAY_SECONDS", "301"),
        ("CLOCK_LEEWAY_SECONDS", "-1"),
        ("CLOCK_LEEWAY_SECONDS", "nan"),
        ("CLOCK_LEEWAY_SECONDS", "a minute"),
        ("KEY_SET_MAX_AGE_SECONDS", "299"),
        ("KEY_SET_COOL_DOWN_SECONDS", "0"),
        ("KEY_SET_FETCH_SECONDS", "0"),
        ("KEY_SET_FETCH_SECONDS", "inf"),
        ("VERIFIED_TOKEN_CACHE_SIZE", "-1"),
        ("VERIFIED_TOKEN_CACHE_SIZE", "1.5"),
        ("ACCEPTED_TOKEN_VERSIONS", "3.0"),
        ("ENTRA_CLOUD", "private"),
    ],
)
def test_when_a_setting_is_not_valid_then_it_is_named(name: str, value: str) -> None:
    """Nothing is guessed, and a wildcard is no list."""
    assert {name} == problems(**{name: value})


def test_when_the_bounds_of_the_key_set_cross_then_it_is_named() -> None:
    """Stale must not end before fresh does."""
    assert {"KEY_SET_MAX_STALE_SECONDS"} == problems(
        KEY_SET_MAX_AGE_SECONDS="3600", KEY_SET_MAX_STALE_SECONDS="3599"
    )
    equal = {"KEY_SET_MAX_AGE_SECONDS": "3600", "KEY_SET_MAX_STALE_SECONDS": "3600"}
    assert isinstance(load_settings(REQUIRED | equal), Settings)


def test_when_no_environment_is_handed_in_then_the_process_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In production it is the process's own."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)

    assert TENANT_ID == load_settings().api.tenant_id
    assert load_key_set_url().endswith(f"/{TENANT_ID}/discovery/v2.0/keys")


def test_when_a_key_set_lies_beside_the_packages_then_it_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bundle's own file needs no setting."""
    package = tmp_path / "aws_authorizer"
    package.mkdir()
    monkeypatch.setattr("aws_authorizer.settings.__file__", str(package / "settings.py"))
    assert "" == load_settings(REQUIRED).key_set_file

    (tmp_path / "key_set.json").touch()
    assert load_settings(REQUIRED).key_set_file.endswith("key_set.json")


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, f"https://login.microsoftonline.com/{TENANT_ID}/discovery/v2.0/keys"),
        (
            {"ENTRA_CLOUD": "usgov"},
            f"https://login.microsoftonline.us/{TENANT_ID}/discovery/v2.0/keys",
        ),
        (
            {"ENTRA_AUTHORITY": "http://127.0.0.1:99"},
            f"http://127.0.0.1:99/{TENANT_ID}/discovery/v2.0/keys",
        ),
    ],
)
def test_when_a_bundle_is_built_then_the_tenant_is_enough_to_know(
    environment: dict[str, str], url: str
) -> None:
    """The build knows no callers."""
    assert url == load_key_set_url({"ENTRA_TENANT_ID": TENANT_ID} | environment)
