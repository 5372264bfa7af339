"""The settings of the backend Lambdas."""

import pytest

from aws_backend.settings import (
    DISCOVERY_SETTINGS,
    RECORDS_SETTINGS,
    SETTINGS,
    load_discovery_settings,
    load_records_settings,
    load_trace_id,
)
from shared.settings_reader import SettingsError

CONTRACT = {
    "ENTRA_TENANT_ID": "11111111-1111-4111-8111-111111111111",
    "API_CLIENT_ID": "22222222-2222-4222-8222-222222222222",
    "API_APP_ID_URI": "api://22222222-2222-4222-8222-222222222222",
}


@pytest.mark.parametrize("name", ["abc", "Stack-RecordsTable-1A2B_3.x", "x" * 255])
def test_when_the_table_has_a_name_then_it_is_read(name: str) -> None:
    """Every name that DynamoDB takes is taken."""
    assert name == load_records_settings({"RECORDS_TABLE": name}).table


@pytest.mark.parametrize("name", ["", "ab", "x" * 256, "a/b", "arn:aws:dynamodb:x"])
def test_when_the_table_has_no_name_then_the_setting_is_named(name: str) -> None:
    """The message names the setting and what it expects."""
    with pytest.raises(SettingsError, match=r"RECORDS_TABLE: .*expected a table name"):
        load_records_settings({"RECORDS_TABLE": name})


@pytest.mark.parametrize(("text", "shards"), [(None, 1), ("1", 1), ("16", 16), ("64", 64)])
def test_when_the_shards_of_a_new_feed_are_set_then_they_are_read(
    text: str | None, shards: int
) -> None:
    """One is the default: the feed as it always was."""
    given = {} if text is None else {"FEED_SHARDS": text}

    assert shards == load_records_settings({"RECORDS_TABLE": "abc"} | given).feed_shards


@pytest.mark.parametrize("text", ["0", "65", "-1", "1.0", "x", "1 6"])
def test_when_the_shards_are_no_number_within_bounds_then_the_setting_is_named(text: str) -> None:
    """All counters of a new feed are made in one transaction, and that has an end."""
    with pytest.raises(SettingsError, match=r"FEED_SHARDS: .*from 1 to 64"):
        load_records_settings({"RECORDS_TABLE": "abc", "FEED_SHARDS": text})


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/v2",
        "https://a1.execute-api.eu-west-1.amazonaws.com/prod",
        "https://api.example.com:8443/a/b",
        "http://127.0.0.1:4566/restapis/a1/prod/_user_request_",
        "http://[::1]:4566/prod",
    ],
)
def test_when_the_public_url_is_safe_then_it_is_read(url: str) -> None:
    """Encrypted anywhere, plain http on loopback."""
    assert url == load_discovery_settings(CONTRACT | {"PUBLIC_URL": url}).public_url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://localhost:4566/prod",
        "ftp://api.example.com",
        "api.example.com",
        "https://",
        "https://:443",
        "https://api.example.com/",
        "https://api.example.com/prod/",
        "https://api.example.com/a//b",
        "https://api.example.com/a%2Fb",
        "https://api.example.com?",
        "https://api.example.com/#",
        "https://user@api.example.com",
        "https://api.example.com:0",
        "https://api.example.com:port",
        "https://[::1",
    ],
)
def test_when_the_public_url_is_unsafe_or_inexact_then_the_setting_is_named(url: str) -> None:
    """A trailing slash would make another resource of it (RFC 9728 section 3.3)."""
    with pytest.raises(SettingsError, match="PUBLIC_URL: is not valid; expected an https"):
        load_discovery_settings(CONTRACT | {"PUBLIC_URL": url})


def test_when_the_public_url_is_absent_then_there_is_none() -> None:
    """API Gateway's word is taken then."""
    assert load_discovery_settings(CONTRACT).public_url is None


def test_when_several_settings_are_wrong_then_all_are_reported() -> None:
    """One attempt shows every problem."""
    with pytest.raises(SettingsError) as caught:
        load_discovery_settings(CONTRACT | {"PUBLIC_URL": "x", "API_CLIENT_ID": "y"})

    assert {"PUBLIC_URL", "API_CLIENT_ID"} == {problem.name for problem in caught.value.problems}


def test_when_settings_are_declared_then_each_is_declared_once() -> None:
    """The declarations are what templates and documentation are compared with."""
    names = [setting.name for setting in SETTINGS]

    assert len(names) == len(set(names))
    assert set(SETTINGS) == set(RECORDS_SETTINGS) | set(DISCOVERY_SETTINGS)


@pytest.mark.parametrize(
    ("environment", "trace_id"),
    [
        ({}, ""),
        ({"_X_AMZN_TRACE_ID": "nonsense"}, ""),
        (
            {"_X_AMZN_TRACE_ID": "Root=1-0af76519-16cd43dd8448eb211c80319c;Sampled=0"},
            "0af7651916cd43dd8448eb211c80319c",
        ),
    ],
)
def test_when_lambda_names_the_trace_then_it_is_read(
    environment: dict[str, str], trace_id: str
) -> None:
    """In the form that the other cloud has it."""
    assert trace_id == load_trace_id(environment)
