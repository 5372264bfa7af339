"""The settings for a company's network."""

from pathlib import Path

import pytest
import trustme

from azure_function_app import network_settings as subject
from azure_function_app.identity.credential_kinds import (
    AzureCli,
    CredentialSettings,
    ManagedIdentity,
    ManagedIdentityFederation,
    WorkloadIdentity,
)
from azure_function_app.network_settings import (
    NETWORK_SETTINGS,
    NetworkSettings,
    read_network_settings,
)
from azure_function_app.proxy_address import ProxyAddress
from azure_function_app.tls import TlsCertificate
from shared.settings_reader import Setting, SettingsError, reading_settings

KEY = "made-up-key-0123456789"


def load(**environment: str) -> NetworkSettings:
    """The settings that this environment makes."""
    with reading_settings(environment) as reader:
        return read_network_settings(reader, ManagedIdentity(None))


def problems(**environment: str) -> dict[str, str]:
    """Each setting that has a problem, with what is said about it."""
    with pytest.raises(SettingsError) as caught:
        load(**environment)
    return {problem.name: problem.message for problem in caught.value.problems}


def test_when_a_setting_is_declared_then_it_is_in_the_list() -> None:
    """A setting that is read but not listed would be in no template and no table."""
    declared = {value for value in vars(subject).values() if isinstance(value, Setting)}

    assert declared == set(NETWORK_SETTINGS)


def test_when_nothing_is_given_then_nothing_is_sent_or_trusted_besides() -> None:
    """The open internet needs none of it."""
    assert (
        NetworkSettings(
            api_key=None,
            api_host=None,
            api_id=None,
            api_proxy=None,
            token_proxy=None,
            authorities_path=None,
            api_certificate=None,
        )
        == load()
    )


@pytest.mark.parametrize("key", ["k" * 20, "k" * 128, "!#$%&()*+-./:;<=>?@[]^_`{|}~"])
def test_when_an_api_key_is_given_then_it_is_taken(key: str) -> None:
    """Of 20 to 128 visible characters."""
    assert key == load(AWS_API_KEY=key).api_key


@pytest.mark.parametrize(
    "key", ["k" * 19, "k" * 129, f"{KEY} {KEY}", f"{KEY}\r\nhost: a", f"{KEY}é", f"{KEY},{KEY}"]
)
def test_when_an_api_key_cannot_be_one_then_it_is_refused_and_not_shown(key: str) -> None:
    """Neither a line break nor a second key gets into the header."""
    (message,) = problems(AWS_API_KEY=key).values()

    assert key not in message


def test_when_authorities_are_named_then_their_file_is_read_at_the_start(tmp_path: Path) -> None:
    """A good one is taken; the path goes on, for each leg to read."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    path = str(tmp_path / "ca.pem")

    assert path == load(EXTRA_CA_FILE=path).authorities_path


def test_when_the_file_of_authorities_is_no_good_then_the_app_does_not_start(
    tmp_path: Path,
) -> None:
    """The message says what is wrong with it, and what was expected."""
    found = problems(EXTRA_CA_FILE=str(tmp_path / "none.pem"))

    assert "names no file; expected the path of a PEM file" in found["EXTRA_CA_FILE"]


def test_when_a_certificate_is_given_then_it_is_read_at_the_start(tmp_path: Path) -> None:
    """In one file here; the key can have one of its own."""
    path = tmp_path / "both.pem"
    trustme.CA().issue_cert("a.example").private_key_and_cert_chain_pem.write_to_path(str(path))

    settings = load(API_CLIENT_CERTIFICATE_PATH=str(path))

    assert TlsCertificate(str(path)) == settings.api_certificate


def test_when_a_certificate_is_no_good_then_the_app_does_not_start(tmp_path: Path) -> None:
    """Here its key is missing."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "cert.pem"))
    found = problems(API_CLIENT_CERTIFICATE_PATH=str(tmp_path / "cert.pem"))

    assert "its private key" in found["API_CLIENT_CERTIFICATE_PATH"]


@pytest.mark.parametrize(
    "name", ["API_CLIENT_CERTIFICATE_KEY_PATH", "API_CLIENT_CERTIFICATE_PASSWORD"]
)
def test_when_a_key_or_a_password_has_no_certificate_then_it_is_refused(name: str) -> None:
    """A certificate was meant, and none would be shown."""
    assert {name: "is set without API_CLIENT_CERTIFICATE_PATH"} == problems(**{name: "made-up"})


@pytest.mark.parametrize(
    "host",
    [
        "abc123.execute-api.eu-west-1.amazonaws.com",
        "ABC123.execute-api.EU-west-1.amazonaws.com",
        "api.example",
        f"{'a' * 63}.example",
    ],
)
def test_when_a_host_is_given_then_it_is_taken_in_small_letters(host: str) -> None:
    """As everywhere in a URL."""
    assert host.lower() == load(AWS_API_HOST=host).api_host


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "api.example:443",
        "https://api.example",
        "api.example/prod",
        "api..example",
        ".example",
        "api.example.",
        "-a.example",
        "a_b.example",
        "user@api.example",
        "api.example\r\nx: y",
        "api.exämple",
        "10.0.0.4",
        "[::1]",
        f"{'a' * 64}.example",
        ".".join(["a" * 60] * 5),
    ],
)
def test_when_a_host_is_no_name_then_it_is_refused(host: str) -> None:
    """It goes into a header as it is, and says which API is meant."""
    assert ["AWS_API_HOST"] == list(problems(AWS_API_HOST=host))


def test_when_an_api_id_is_given_then_it_is_taken() -> None:
    """Small letters and digits."""
    assert "abc123def4" == load(AWS_API_ID="abc123def4").api_id


@pytest.mark.parametrize("api_id", ["ABC123DEF4", "a-b", "a.b", "a b", "a" * 65, "a\nb", "é"])
def test_when_an_api_id_cannot_be_one_then_it_is_refused(api_id: str) -> None:
    """It goes into a header as it is."""
    assert ["AWS_API_ID"] == list(problems(AWS_API_ID=api_id))


def test_when_host_and_api_id_are_both_given_then_one_is_refused() -> None:
    """They could name two different APIs."""
    found = problems(AWS_API_HOST="abc.execute-api.eu-west-1.amazonaws.com", AWS_API_ID="abc")

    assert "keep one" in found["AWS_API_ID"]


PROXY = "http://me:made-up-password@proxy.example:8080"
CLIENT = "bbbbbbbb-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    "credential", [WorkloadIdentity(CLIENT, "token"), ManagedIdentityFederation(CLIENT, CLIENT)]
)
def test_when_proxies_are_given_then_each_leg_has_its_own(credential: CredentialSettings) -> None:
    """Also where a managed identity vouches: what asks Entra ID goes through the proxy."""
    environment = {"API_HTTPS_PROXY": PROXY, "TOKEN_HTTPS_PROXY": "http://10.0.0.4:3128"}
    with reading_settings(environment) as reader:
        settings = read_network_settings(reader, credential)

    assert settings.api_proxy is not None
    assert ("proxy.example", 8080) == (settings.api_proxy.host, settings.api_proxy.port)
    assert ProxyAddress("10.0.0.4", 3128) == settings.token_proxy
    assert "made-up-password" not in repr(settings)


@pytest.mark.parametrize(
    ("credential", "reason"),
    [(ManagedIdentity(None), "on this machine"), (AzureCli(), "from elsewhere")],
)
def test_when_the_credential_uses_no_proxy_then_one_for_it_is_refused(
    credential: CredentialSettings, reason: str
) -> None:
    """A managed identity's request holds a secret; and a proxy that is not used misleads."""
    with (
        pytest.raises(SettingsError) as caught,
        reading_settings({"TOKEN_HTTPS_PROXY": PROXY}) as reader,
    ):
        read_network_settings(reader, credential)

    (problem,) = caught.value.problems
    assert ("TOKEN_HTTPS_PROXY", True) == (problem.name, reason in problem.message)
    assert "made-up-password" not in problem.message


def test_when_a_proxy_is_no_proxy_then_it_is_refused_and_not_shown() -> None:
    """The text may hold a password."""
    found = problems(API_HTTPS_PROXY="https://me:made-up-password@proxy.example:8080")

    assert "expected http://[user:password@]host:port" in found["API_HTTPS_PROXY"]
    assert "made-up-password" not in found["API_HTTPS_PROXY"]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"])
def test_when_the_environment_names_a_proxy_then_none_is_used(name: str) -> None:
    """Only the two settings of ours do."""
    assert load() == load(**{name: PROXY})
