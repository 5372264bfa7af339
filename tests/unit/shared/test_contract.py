"""The API's identity, and the settings that both clouds share."""

import pytest

from shared.contract import CONTRACT_SETTINGS, ApiIdentity, read_api_identity
from shared.entra import TokenVersion
from shared.settings_reader import SettingsError, reading_settings

TENANT_ID = "11111111-2222-4333-8444-555555555555"
CLIENT_ID = "aaaaaaaa-0000-4000-8000-000000000001"
REQUIRED = {"ENTRA_TENANT_ID": TENANT_ID, "API_CLIENT_ID": CLIENT_ID}


def identity(**environment: str) -> ApiIdentity:
    """The identity that these settings describe."""
    with reading_settings(REQUIRED | environment) as reader:
        return read_api_identity(reader)


def test_when_only_the_required_settings_are_given_then_the_rest_follows() -> None:
    """The public cloud, version 2.0, and the App ID URI that Entra ID proposes."""
    api = identity()

    assert "public" == api.cloud.name
    assert frozenset({TokenVersion.V2}) == api.token_versions
    assert f"api://{CLIENT_ID}/.default" == api.scope
    assert f"https://login.microsoftonline.com/{TENANT_ID}/v2.0" == api.issuer(TokenVersion.V2)
    assert api.key_set_url.endswith(f"/{TENANT_ID}/discovery/v2.0/keys")


def test_when_a_token_is_v2_then_its_audience_is_the_client_id_alone() -> None:
    """And in v1.0 whatever the caller asked for: client ID or App ID URI."""
    api = identity(API_APP_ID_URI="https://orders.example/api")

    assert {CLIENT_ID} == api.audiences(TokenVersion.V2)
    assert {CLIENT_ID, "https://orders.example/api"} == api.audiences(TokenVersion.V1)
    assert "https://orders.example/api/.default" == api.scope


@pytest.mark.parametrize(
    ("text", "versions"), [("1.0", {"1.0"}), ("2.0", {"2.0"}), (" 1.0 , 2.0 ", {"1.0", "2.0"})]
)
def test_when_versions_are_listed_then_those_are_accepted(text: str, versions: set[str]) -> None:
    """One or both."""
    assert versions == identity(ACCEPTED_TOKEN_VERSIONS=text).token_versions


def test_when_a_local_authority_is_set_then_it_takes_the_clouds_place() -> None:
    """Whatever cloud is named."""
    api = identity(ENTRA_AUTHORITY="http://127.0.0.1:8080", ENTRA_CLOUD="china")

    assert f"http://127.0.0.1:8080/{TENANT_ID}/v2.0" == api.issuer(TokenVersion.V2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENTRA_TENANT_ID", "common"),
        ("ENTRA_CLOUD", "moon"),
        ("API_CLIENT_ID", "orders"),
        ("API_APP_ID_URI", "orders"),
        ("API_APP_ID_URI", "api://orders/.default"),
        ("API_APP_ID_URI", "http://orders.example"),
        ("API_APP_ID_URI", "api://"),
        ("API_APP_ID_URI", "api:///orders"),
        ("API_APP_ID_URI", "api://or ders"),
        ("API_APP_ID_URI", "https://orders.example?x=1"),
        ("ACCEPTED_TOKEN_VERSIONS", "2"),
        ("ACCEPTED_TOKEN_VERSIONS", "1.0;2.0"),
        ("ACCEPTED_TOKEN_VERSIONS", ","),
        ("ENTRA_AUTHORITY", "http://login.example:80"),
    ],
)
def test_when_a_setting_is_not_valid_then_it_is_named(name: str, value: str) -> None:
    """With the others left alone."""
    with pytest.raises(SettingsError) as caught:
        identity(**{name: value})

    assert [name] == [problem.name for problem in caught.value.problems]


def test_when_the_contract_settings_are_declared_then_the_identity_reads_each() -> None:
    """Both sides are given the same list; none of it is a secret."""
    read: set[str] = set()

    class Recording(dict[str, str]):
        def get(self, key: str, default: object = None) -> str:
            """Note the name."""
            read.add(key)
            return super().get(key, str(default))

    with reading_settings(Recording(REQUIRED)) as reader:
        read_api_identity(reader)

    assert {setting.name for setting in CONTRACT_SETTINGS} == read
    assert not any(setting.is_secret for setting in CONTRACT_SETTINGS)
