"""Every credential kind that the settings can name, against the local Entra ID."""

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from azure_function_app.errors import TokenAcquisitionError
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.credentials import request_token
from azure_function_app.identity.token_diagnosis import diagnose, unverified_claims
from azure_function_app.identity.token_provider import TokenProvider
from azure_function_app.settings import Settings, load_settings
from emulator.entra.key_store import SigningKey
from emulator.entra.local_entra import LocalEntra
from shared.clock import SystemClock
from shared.entra import TokenVersion, parse_local_authority
from tests.support.fake_clock import FakeClock
from tests.support.local_entra import (
    API,
    CLIENT,
    CLIENT_SECRET,
    DIRECTORY,
    SYSTEM_ASSIGNED,
    TENANT_ID,
    USER_ASSIGNED,
    make_certificate,
    running_local_entra,
    trust,
    with_api,
    with_client,
)

CLOCK = SystemClock()


@pytest.fixture
def entra(tmp_path: Path) -> Iterator[LocalEntra]:
    """The local tenant."""
    with running_local_entra(tmp_path / "entra") as running:
        yield running


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[LocalEntra], None]:
    """Points the platform's own variables at the local tenant, as Azure would at the real one."""

    def point_at(entra: LocalEntra) -> None:
        monkeypatch.setenv("IDENTITY_ENDPOINT", entra.identity_endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", entra.identity_header)

    return point_at


def settings_for(entra: LocalEntra, **environment: str) -> Settings:
    """The settings of a laptop that works against the local tenant."""
    return load_settings(
        {
            "AWS_API_BASE_URL": "http://127.0.0.1:9/prod",
            "ENTRA_TENANT_ID": TENANT_ID,
            "API_CLIENT_ID": API.client_id,
            "ENTRA_AUTHORITY": entra.authority,
            "AZURE_AUTHORITY_HOST": entra.https_authority_host,
            "REQUESTS_CA_BUNDLE": str(entra.ca_file),
        }
        | environment
    )


def ask(settings: Settings) -> AccessToken:
    """A token, obtained as the Function App obtains it."""
    return request_token(settings.token_source, ca_file=settings.token_ca_file)


def subject_of(token: AccessToken, settings: Settings) -> object:
    """Whose token it is, if there is nothing to find fault with."""
    assert () == diagnose(token.value, settings.api)
    assert token.expires_at > CLOCK.now() + 60
    claims = unverified_claims(token.value)
    assert claims is not None
    return claims["oid"]


def test_when_the_identity_is_the_system_assigned_one_then_its_token_fits(
    entra: LocalEntra, use: Callable[[LocalEntra], None]
) -> None:
    """The default: nothing is set but the contract."""
    use(entra)
    settings = settings_for(entra)

    assert SYSTEM_ASSIGNED.object_id == subject_of(ask(settings), settings)


def test_when_the_identity_is_a_user_assigned_one_then_its_token_fits(
    entra: LocalEntra, use: Callable[[LocalEntra], None]
) -> None:
    """AZURE_CLIENT_ID names it; the SDK would not read that by itself."""
    use(entra)
    settings = settings_for(entra, AZURE_CLIENT_ID=USER_ASSIGNED.client_id)

    assert USER_ASSIGNED.object_id == subject_of(ask(settings), settings)


def test_when_the_principal_has_a_secret_then_its_token_fits(
    entra: LocalEntra, use: Callable[[LocalEntra], None]
) -> None:
    """The way of the example file."""
    use(entra)
    settings = settings_for(
        entra,
        CREDENTIAL="client_secret",
        AZURE_CLIENT_ID=CLIENT.client_id,
        AZURE_CLIENT_SECRET=CLIENT_SECRET,
    )

    assert CLIENT.object_id == subject_of(ask(settings), settings)


def test_when_the_principal_has_a_certificate_then_its_token_fits(
    tmp_path: Path, use: Callable[[LocalEntra], None]
) -> None:
    """The file is read at each request, so a rotated one serves without a restart."""
    public, private = make_certificate()
    file = tmp_path / "client.pem"
    file.write_bytes(private)
    with running_local_entra(tmp_path / "entra", with_client(certificates=(public,))) as entra:
        use(entra)
        settings = settings_for(
            entra,
            CREDENTIAL="client_certificate",
            AZURE_CLIENT_ID=CLIENT.client_id,
            AZURE_CLIENT_CERTIFICATE_PATH=str(file),
        )
        subject = subject_of(ask(settings), settings)

    assert CLIENT.object_id == subject


def test_when_a_workload_has_a_federated_token_then_its_token_fits(
    tmp_path: Path, use: Callable[[LocalEntra], None]
) -> None:
    """Another issuer's token, kept in a file, is the proof."""
    key = SigningKey.generate(CLOCK)
    federation = trust("https://cluster.example", "sync", key_set={"keys": [key.as_jwk()]})
    directory = with_client(federated_credentials=(federation,), secrets=())
    file = tmp_path / "federated-token"
    with running_local_entra(tmp_path / "entra", directory) as entra:
        use(entra)
        now = int(CLOCK.now())
        claims = {"iss": federation.issuer, "sub": "sync", "aud": federation.audience}
        file.write_text(entra.issuer.sign(claims | {"iat": now, "exp": now + 600}, key=key))
        settings = settings_for(
            entra,
            CREDENTIAL="workload_identity",
            AZURE_CLIENT_ID=CLIENT.client_id,
            AZURE_FEDERATED_TOKEN_FILE=str(file),
        )
        subject = subject_of(ask(settings), settings)

    assert CLIENT.object_id == subject


async def test_when_a_managed_identity_vouches_for_the_principal_then_its_token_fits(
    tmp_path: Path, use: Callable[[LocalEntra], None]
) -> None:
    """No secret anywhere, and still a principal of another tenant could be named."""
    # The trust names the issuer, whose port must therefore be known beforehand.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    issuer = parse_local_authority(f"http://127.0.0.1:{port}").issuer(TENANT_ID, TokenVersion.V2)
    directory = with_client(
        federated_credentials=(trust(issuer, USER_ASSIGNED.object_id),), secrets=()
    )
    async with LocalEntra.start(directory, folder=tmp_path, http_port=port) as entra:
        use(entra)
        settings = settings_for(
            entra,
            CREDENTIAL="managed_identity_federation",
            AZURE_CLIENT_ID=CLIENT.client_id,
            MANAGED_IDENTITY_CLIENT_ID=USER_ASSIGNED.client_id,
        )
        token = await asyncio.to_thread(ask, settings)

    assert CLIENT.object_id == subject_of(token, settings)


@pytest.mark.parametrize(
    ("secret", "client_id", "code", "named"),
    [
        ("made-up~wrong", CLIENT.client_id, "AADSTS7000215", "AZURE_CLIENT_SECRET"),
        (CLIENT.expired_secrets[0], CLIENT.client_id, "AADSTS7000222", "expired"),
        (CLIENT_SECRET, API.client_id, "AADSTS700016", "AZURE_CLIENT_ID"),
    ],
)
def test_when_entra_refuses_then_the_error_names_the_setting_and_hides_the_secret(
    entra: LocalEntra,
    use: Callable[[LocalEntra], None],
    *,
    secret: str,
    client_id: str,
    code: str,
    named: str,
) -> None:
    """A wrong secret, an expired one, an unknown client."""
    use(entra)
    settings = settings_for(
        entra, CREDENTIAL="client_secret", AZURE_CLIENT_ID=client_id, AZURE_CLIENT_SECRET=secret
    )

    with pytest.raises(TokenAcquisitionError, match=code) as caught:
        ask(settings)

    assert "token_refused" == caught.value.code
    assert named in str(caught.value)
    assert secret not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_when_the_api_demands_a_role_that_is_not_there_then_the_error_says_so(
    tmp_path: Path, use: Callable[[LocalEntra], None]
) -> None:
    """Assignment required, and the caller has none."""
    directory = replace(
        with_client(roles=frozenset()), api=with_api(is_assignment_required=True).api
    )
    with running_local_entra(tmp_path, directory) as entra:
        use(entra)
        settings = settings_for(
            entra,
            CREDENTIAL="client_secret",
            AZURE_CLIENT_ID=CLIENT.client_id,
            AZURE_CLIENT_SECRET=CLIENT_SECRET,
        )
        with pytest.raises(TokenAcquisitionError, match=r"app role.*AADSTS501051"):
            ask(settings)


def test_when_the_api_is_unknown_to_the_tenant_then_the_error_names_the_app_id_uri(
    entra: LocalEntra, use: Callable[[LocalEntra], None]
) -> None:
    """A typing mistake in the App ID URI."""
    use(entra)
    settings = settings_for(
        entra,
        CREDENTIAL="client_secret",
        AZURE_CLIENT_ID=CLIENT.client_id,
        AZURE_CLIENT_SECRET=CLIENT_SECRET,
        API_APP_ID_URI="api://mistyped",
    )

    with pytest.raises(TokenAcquisitionError, match="API_APP_ID_URI"):
        ask(settings)


def test_when_the_api_issues_v1_tokens_then_the_diagnosis_names_the_manifest(
    tmp_path: Path, use: Callable[[LocalEntra], None]
) -> None:
    """The token comes, and the API would refuse it without a reason."""
    with running_local_entra(tmp_path, with_api(requested_access_token_version=1)) as entra:
        use(entra)
        settings = settings_for(entra)
        token = ask(settings)

    assert ["unaccepted_version"] == [
        finding.code for finding in diagnose(token.value, settings.api)
    ]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        (
            {"CREDENTIAL": "workload_identity", "AZURE_FEDERATED_TOKEN_FILE": "/nowhere/token"},
            "AZURE_FEDERATED_TOKEN_FILE",
        ),
        (
            {"CREDENTIAL": "client_certificate", "AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere/c.pem"},
            "AZURE_CLIENT_CERTIFICATE_PATH",
        ),
    ],
)
def test_when_a_file_is_not_there_then_the_error_names_its_setting(
    entra: LocalEntra, use: Callable[[LocalEntra], None], environment: dict[str, str], named: str
) -> None:
    """The token file or the certificate."""
    use(entra)

    with pytest.raises(TokenAcquisitionError, match=named):
        ask(settings_for(entra, AZURE_CLIENT_ID=CLIENT.client_id, **environment))


def test_when_the_endpoint_is_not_there_then_the_error_names_what_to_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A managed identity on a machine that has none."""
    with running_local_entra(tmp_path) as entra:
        settings = settings_for(entra)
        monkeypatch.setenv("IDENTITY_ENDPOINT", entra.identity_endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", "wrong")
        with pytest.raises(TokenAcquisitionError, match="managed identity endpoint gave no token"):
            ask(settings)


def test_when_the_azure_cli_is_not_there_then_the_error_says_how_to_sign_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entra: LocalEntra
) -> None:
    """The developer's own sign-in, by explicit choice alone."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(TokenAcquisitionError, match="az login --tenant"):
        ask(settings_for(entra, CREDENTIAL="azure_cli"))


async def test_when_sixty_four_cold_callers_come_then_entra_is_asked_for_one_token(
    tmp_path: Path, use: Callable[[LocalEntra], None]
) -> None:
    """Counted where it matters, at the token endpoint."""
    async with LocalEntra.start(DIRECTORY, folder=tmp_path) as entra:
        use(entra)
        settings = settings_for(
            entra,
            CREDENTIAL="client_secret",
            AZURE_CLIENT_ID=CLIENT.client_id,
            AZURE_CLIENT_SECRET=CLIENT_SECRET,
        )
        provider = TokenProvider(
            partial(ask, settings),
            clock=CLOCK,
            random=random.random,
            wait_seconds=30,
        )
        tokens = await asyncio.gather(*(provider.get_token() for _ in range(64)))
        first = entra.requests["token"]
        newer = await provider.refresh_after_rejection(tokens[0])
        second = entra.requests["token"]

    assert 1 == len({token.value for token in tokens})
    assert (1, 2) == (first, second)
    assert newer.value != tokens[0].value


async def test_when_our_clock_is_far_ahead_then_the_endpoint_is_not_asked_at_each_call(
    tmp_path: Path, use: Callable[[LocalEntra], None]
) -> None:
    """A managed identity's endpoint tells the end in absolute time, which is over already."""
    clock = FakeClock(now=CLOCK.now() - 48 * 3600)
    async with LocalEntra.start(DIRECTORY, folder=tmp_path, clock=clock) as entra:
        use(entra)
        settings = settings_for(entra)
        provider = TokenProvider(
            partial(ask, settings), clock=CLOCK, random=random.random, wait_seconds=30
        )
        codes = set()
        for _ in range(50):
            with pytest.raises(TokenAcquisitionError, match="clock") as caught:
                await provider.get_token()
            codes.add(caught.value.code)

    assert {"token_expired_on_arrival"} == codes
    assert 1 == entra.requests["managed_identity"]
