"""The local Entra ID under azure-identity, unmodified, and as its tokens verify."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential

from emulator.entra.directory import TOKEN_EXCHANGE
from emulator.entra.errors import EntraStartError
from emulator.entra.key_store import SigningKey
from emulator.entra.local_entra import LocalEntra
from shared.clock import SystemClock
from shared.entra import TokenVersion, parse_local_authority
from shared.routes import Role
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

SCOPE = f"{API.app_id_uri}/.default"


@pytest.fixture
def app_service(monkeypatch: pytest.MonkeyPatch) -> Callable[[LocalEntra], None]:
    """Sets the variables by which azure-identity finds App Service's managed identity."""

    def set_environment(entra: LocalEntra) -> None:
        monkeypatch.setenv("IDENTITY_ENDPOINT", entra.identity_endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", entra.identity_header)

    return set_environment


@pytest.fixture
def entra(tmp_path: Path) -> Iterator[LocalEntra]:
    """The tenant with its client and its identities."""
    with running_local_entra(tmp_path) as running:
        yield running


def https_options(entra: LocalEntra) -> dict[str, Any]:
    """What points a credential at the emulator; nothing of azure-identity is patched."""
    return {
        "authority": entra.https_authority_host,
        "disable_instance_discovery": True,
        "connection_verify": str(entra.ca_file),
    }


def verified_claims(
    entra: LocalEntra, token: str, version: TokenVersion = TokenVersion.V2
) -> Mapping[str, Any]:
    """The claims, once PyJWT has fetched the key set and checked the token with it."""
    cloud = parse_local_authority(entra.authority)
    key = jwt.PyJWKClient(cloud.key_set_url(TENANT_ID)).get_signing_key_from_jwt(token)
    claims: Mapping[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        issuer=cloud.issuer(TENANT_ID, version),
        audience=API.client_id if version is TokenVersion.V2 else API.app_id_uri,
        options={"require": ["exp", "nbf", "iat", "iss", "aud"], "strict_aud": True},
    )
    return claims


def token_from(credential: TokenCredential, scope: str = SCOPE) -> str:
    """A token, asked for as the client does."""
    return credential.get_token(scope).token


def test_when_the_system_assigned_identity_asks_then_its_token_verifies(
    entra: LocalEntra, app_service: Callable[[LocalEntra], None]
) -> None:
    """A request without a selector gives the token of the system-assigned identity."""
    app_service(entra)

    with ManagedIdentityCredential() as credential:
        answer = credential.get_token(SCOPE)

    claims = verified_claims(entra, answer.token)
    assert SYSTEM_ASSIGNED.object_id == claims["oid"] == claims["sub"]
    assert SYSTEM_ASSIGNED.client_id == claims["azp"]
    assert sorted(Role) == claims["roles"]
    assert claims["exp"] == pytest.approx(answer.expires_on, abs=3)


def test_when_a_user_assigned_identity_is_named_then_its_token_verifies(
    entra: LocalEntra, app_service: Callable[[LocalEntra], None]
) -> None:
    """The client ID selects the identity."""
    app_service(entra)

    with ManagedIdentityCredential(client_id=USER_ASSIGNED.client_id) as credential:
        claims = verified_claims(entra, token_from(credential))

    assert USER_ASSIGNED.object_id == claims["oid"]
    assert [Role.READ] == claims["roles"]


@pytest.mark.parametrize(
    "selector",
    [{"object_id": USER_ASSIGNED.object_id}, {"resource_id": USER_ASSIGNED.resource_id}],
    ids=str,
)
def test_when_a_user_assigned_identity_is_named_otherwise_then_it_is_found(
    entra: LocalEntra, app_service: Callable[[LocalEntra], None], selector: dict[str, str]
) -> None:
    """The object ID and the resource ID select it as well."""
    app_service(entra)

    with ManagedIdentityCredential(identity_config=selector) as credential:
        claims = verified_claims(entra, token_from(credential))

    assert USER_ASSIGNED.object_id == claims["oid"]


def test_when_the_identity_header_is_wrong_then_there_is_no_token(
    entra: LocalEntra,
    app_service: Callable[[LocalEntra], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The endpoint asks for the secret that only the app's own process has."""
    app_service(entra)
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")

    with (
        ManagedIdentityCredential() as credential,
        pytest.raises(CredentialUnavailableError, match="X-IDENTITY-HEADER"),
    ):
        credential.get_token(SCOPE)


def test_when_a_secret_is_right_then_the_token_verifies(entra: LocalEntra) -> None:
    """The token names the client, how it proved itself, and its roles."""
    with ClientSecretCredential(
        TENANT_ID, CLIENT.client_id, CLIENT_SECRET, **https_options(entra)
    ) as credential:
        claims = verified_claims(entra, token_from(credential))

    assert CLIENT.client_id == claims["azp"]
    assert "1" == claims["azpacr"]
    assert "app" == claims["idtyp"]
    assert [Role.READ] == claims["roles"]


def test_when_the_api_asks_for_v1_tokens_then_a_v1_token_verifies(tmp_path: Path) -> None:
    """The registration decides the version, although the client used the v2.0 endpoint."""
    with (
        running_local_entra(tmp_path, with_api(requested_access_token_version=1)) as entra,
        ClientSecretCredential(
            TENANT_ID, CLIENT.client_id, CLIENT_SECRET, **https_options(entra)
        ) as credential,
    ):
        claims = verified_claims(entra, token_from(credential), TokenVersion.V1)

    assert CLIENT.client_id == claims["appid"]
    assert "1.0" == claims["ver"]
    assert "azp" not in claims


def test_when_a_secret_is_wrong_then_the_error_has_entras_shape(entra: LocalEntra) -> None:
    """azure-identity shows the AADSTS code to whoever has to fix it."""
    with (
        ClientSecretCredential(
            TENANT_ID, CLIENT.client_id, "wrong", **https_options(entra)
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(SCOPE)


def test_when_a_certificate_is_registered_then_both_forms_of_assertion_are_taken(
    tmp_path: Path,
) -> None:
    """The sync credential signs RS256 with x5t, the async one PS256 with x5t#S256."""
    public, private = make_certificate()

    async def async_token(options: dict[str, Any]) -> str:
        async with AsyncCertificateCredential(
            TENANT_ID, CLIENT.client_id, certificate_data=private, **options
        ) as credential:
            return (await credential.get_token(SCOPE)).token

    with (
        running_local_entra(tmp_path, with_client(certificates=(public,), secrets=())) as entra,
        CertificateCredential(
            TENANT_ID, CLIENT.client_id, certificate_data=private, **https_options(entra)
        ) as credential,
    ):
        sync_claims = verified_claims(entra, token_from(credential))
        async_claims = verified_claims(entra, asyncio.run(async_token(https_options(entra))))

    assert "2" == sync_claims["azpacr"] == async_claims["azpacr"]
    assert CLIENT.object_id == sync_claims["oid"] == async_claims["oid"]


def test_when_another_certificate_signs_then_there_is_no_token(tmp_path: Path) -> None:
    """Only a certificate that the application has is good."""
    (public, _), (_, other_private) = make_certificate(), make_certificate()

    with (
        running_local_entra(tmp_path, with_client(certificates=(public,))) as entra,
        CertificateCredential(
            TENANT_ID, CLIENT.client_id, certificate_data=other_private, **https_options(entra)
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS700027"),
    ):
        credential.get_token(SCOPE)


def test_when_a_workload_has_a_trusted_token_then_it_is_exchanged(tmp_path: Path) -> None:
    """A Kubernetes service account's token, read from a file, becomes an access token."""
    cluster_key = SigningKey.generate(SystemClock())
    cluster = "https://cluster.example"
    subject = "system:serviceaccount:bridge:sync"
    federation = trust(cluster, subject, key_set={"keys": [cluster_key.as_jwk()]})
    directory = with_client(federated_credentials=(federation,), secrets=())
    token_file = tmp_path / "token"

    with running_local_entra(tmp_path, directory) as entra:
        now = int(SystemClock().now())
        service_account = {
            "iss": cluster,
            "sub": subject,
            "aud": federation.audience,
            "iat": now,
            "exp": now + 600,
        }
        token_file.write_text(entra.issuer.sign(service_account, key=cluster_key))
        with WorkloadIdentityCredential(
            tenant_id=TENANT_ID,
            client_id=CLIENT.client_id,
            token_file_path=str(token_file),
            **https_options(entra),
        ) as credential:
            claims = verified_claims(entra, token_from(credential))

    assert CLIENT.object_id == claims["oid"]


def test_when_an_application_trusts_a_managed_identity_then_its_token_is_exchanged(
    tmp_path: Path, app_service: Callable[[LocalEntra], None]
) -> None:
    """A managed identity stands in for the application's secret."""
    # The issuer holds the port, so the trust can be written only once that is known.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    issuer = parse_local_authority(f"http://127.0.0.1:{port}").issuer(TENANT_ID, TokenVersion.V2)
    directory = with_client(
        federated_credentials=(trust(issuer, USER_ASSIGNED.object_id),), secrets=()
    )

    async def exchange() -> str:
        async with LocalEntra.start(directory, folder=tmp_path, http_port=port) as entra:
            app_service(entra)

            def get_token() -> str:
                identity = ManagedIdentityCredential(client_id=USER_ASSIGNED.client_id)
                with (
                    identity,
                    ClientAssertionCredential(
                        TENANT_ID,
                        CLIENT.client_id,
                        lambda: token_from(identity, f"{TOKEN_EXCHANGE.app_id_uri}/.default"),
                        **https_options(entra),
                    ) as credential,
                ):
                    return str(verified_claims(entra, token_from(credential))["oid"])

            return await asyncio.to_thread(get_token)

    assert CLIENT.object_id == asyncio.run(exchange())


def test_when_the_key_is_rotated_then_old_and_new_tokens_verify(entra: LocalEntra) -> None:
    """The old key stays published, so a token that is under way stays good."""
    old = entra.issuer.sign(entra.issuer.claims_for(CLIENT))
    key_id = entra.rotate_signing_key()
    new = entra.issuer.sign(entra.issuer.claims_for(CLIENT))

    assert key_id == jwt.get_unverified_header(new)["kid"]
    assert CLIENT.object_id == verified_claims(entra, old)["oid"]
    assert CLIENT.object_id == verified_claims(entra, new)["oid"]


def test_when_a_retired_key_is_dropped_then_its_tokens_verify_no_longer(
    entra: LocalEntra,
) -> None:
    """A verifier that fetches the key set finds the old key gone."""
    old = entra.issuer.sign(entra.issuer.claims_for(CLIENT))
    key_id = jwt.get_unverified_header(old)["kid"]
    entra.rotate_signing_key()
    entra.issuer.keys.drop(key_id)

    with pytest.raises(jwt.PyJWKClientError):
        verified_claims(entra, old)


def get(url: str, **options: Any) -> tuple[int, Any]:
    """The status and the JSON of an answer."""

    async def fetch() -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(options.pop("method", "GET"), url, **options) as response,
        ):
            return response.status, await response.json()

    return asyncio.run(fetch())


def test_when_keys_are_rotated_over_http_then_the_key_set_shows_both(entra: LocalEntra) -> None:
    """The address for scripts does what the method does."""
    status, rotated = get(f"{entra.authority}/_emulator/rotate-signing-key", method="POST")
    _, key_set = get(f"{entra.authority}/{TENANT_ID}/discovery/v2.0/keys")

    assert 200 == status
    assert 2 == len(key_set["keys"])
    assert rotated["kid"] == key_set["keys"][0]["kid"]


def test_when_addresses_are_asked_then_they_are_counted(entra: LocalEntra) -> None:
    """A test can see how often the key set was fetched."""
    for _ in range(2):
        get(f"{entra.authority}/{TENANT_ID}/discovery/v2.0/keys")

    _, counts = get(f"{entra.authority}/_emulator/requests")
    assert {"key_set": 2} == counts == entra.requests


@pytest.mark.parametrize(("infix", "version"), [("/v2.0", TokenVersion.V2), ("", TokenVersion.V1)])
def test_when_discovery_is_asked_then_it_names_issuer_and_key_set(
    entra: LocalEntra, infix: str, version: TokenVersion
) -> None:
    """The issuer is the one in the tokens, and the key set's address answers."""
    url = f"{entra.authority}/{TENANT_ID}{infix}/.well-known/openid-configuration"
    _, metadata = get(url)
    status, key_set = get(metadata["jwks_uri"])

    cloud = parse_local_authority(entra.authority)
    assert cloud.issuer(TENANT_ID, version) == metadata["issuer"]
    assert 200 == status
    assert (version is TokenVersion.V2) == ("issuer" in key_set["keys"][0])


def test_when_common_is_asked_then_the_issuer_is_a_template(entra: LocalEntra) -> None:
    """Tenant-independent documents leave the tenant open."""
    _, metadata = get(f"{entra.authority}/common/v2.0/.well-known/openid-configuration")
    _, key_set = get(f"{entra.authority}/common/discovery/v2.0/keys")

    template = entra.authority + "/{tenantid}/v2.0"
    assert template == metadata["issuer"] == key_set["keys"][0]["issuer"]


@pytest.mark.parametrize(
    "path",
    ["v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"],
)
def test_when_the_tenant_is_another_then_it_is_not_found(entra: LocalEntra, path: str) -> None:
    """A wrong tenant ID is answered as Entra ID answers it."""
    status, refusal = get(f"{entra.authority}/99999999-2222-4333-8444-555555555555/{path}")

    assert 400 == status
    assert [90002] == refusal["error_codes"]


def test_when_a_token_is_refused_then_the_body_has_every_member(entra: LocalEntra) -> None:
    """Whoever parses Entra ID's errors can parse these."""
    status, refusal = get(
        f"{entra.authority}/{TENANT_ID}/oauth2/v2.0/token",
        method="POST",
        data={"grant_type": "client_credentials", "client_id": CLIENT.client_id, "scope": SCOPE},
    )

    assert 401 == status
    assert {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    } == set(refusal)
    assert "invalid_client" == refusal["error"]
    assert refusal["error_description"].startswith("AADSTS7000218: ")


def test_when_the_v1_token_endpoint_is_asked_then_resource_names_the_api(
    entra: LocalEntra,
) -> None:
    """The old endpoint takes `resource` in place of `scope`."""
    status, answer = get(
        f"{entra.authority}/{TENANT_ID}/oauth2/token",
        method="POST",
        data={
            "grant_type": "client_credentials",
            "client_id": CLIENT.client_id,
            "client_secret": CLIENT_SECRET,
            "resource": API.app_id_uri,
        },
    )

    assert 200 == status
    assert 3599 == answer["expires_in"]
    assert CLIENT.object_id == verified_claims(entra, answer["access_token"])["oid"]


def test_when_a_port_is_taken_then_one_sentence_says_so(tmp_path: Path) -> None:
    """Nothing starts, and the message names the port."""

    async def start_twice() -> None:
        async with LocalEntra.start(DIRECTORY, folder=tmp_path) as entra:
            port = int(entra.authority.rpartition(":")[2])
            async with LocalEntra.start(DIRECTORY, folder=tmp_path, http_port=port):
                pass

    with pytest.raises(EntraStartError, match=r"127\.0\.0\.1:\d+, because the port is taken"):
        asyncio.run(start_twice())


def test_when_a_connection_is_kept_alive_then_requests_do_not_stall(entra: LocalEntra) -> None:
    """Without TCP_NODELAY each of these would wait 40 ms for an acknowledgment."""

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        url = f"{entra.authority}/{TENANT_ID}/discovery/v2.0/keys"
        async with aiohttp.ClientSession() as session:
            begun = loop.time()
            for _ in range(50):
                async with session.get(url) as response:
                    await response.read()
            return loop.time() - begun

    assert asyncio.run(timed()) < 50 * 0.03


def test_when_a_short_lived_token_is_asked_for_then_it_lives_as_long_as_the_directory_says(
    tmp_path: Path,
) -> None:
    """Tests of renewal can have tokens that end soon."""
    with (
        running_local_entra(tmp_path, replace(DIRECTORY, token_lifetime=60)) as entra,
        ClientSecretCredential(
            TENANT_ID, CLIENT.client_id, CLIENT_SECRET, **https_options(entra)
        ) as credential,
    ):
        answer = credential.get_token(SCOPE)
        claims = verified_claims(entra, answer.token)

    assert claims["exp"] == pytest.approx(SystemClock().now() + 60, abs=5)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/{TENANT_ID}/v2.0/.well-known/openid-configuration"),
        ("GET", f"/{TENANT_ID}/.well-known/openid-configuration"),
        ("GET", f"/{TENANT_ID}/discovery/v2.0/keys"),
        ("GET", f"/{TENANT_ID}/discovery/keys"),
        ("POST", f"/{TENANT_ID}/oauth2/v2.0/token"),
        ("POST", f"/{TENANT_ID}/oauth2/token"),
    ],
)
async def test_when_the_issuer_is_broken_then_its_addresses_answer_503_until_it_is_healed(
    tmp_path: Path, method: str, path: str
) -> None:
    """Every address of the tenant's, and with Entra ID's own code."""
    async with (
        LocalEntra.start(DIRECTORY, folder=tmp_path) as entra,
        aiohttp.ClientSession() as web,
    ):
        entra.faults.break_down()
        async with web.request(method, f"{entra.authority}{path}") as answer:
            broken = answer.status, (await answer.json())["error_codes"]
        unavailable = dict(entra.requests)
        entra.faults.heal()
        async with web.request(method, f"{entra.authority}{path}") as answer:
            healed = answer.status

    assert (503, [90033]) == broken
    assert {"unavailable": 1} == unavailable
    assert healed in {200, 400}


async def test_when_the_issuer_is_broken_then_the_managed_identity_endpoint_answers(
    tmp_path: Path,
) -> None:
    """That one is the machine's own, and no address of the tenant's."""
    async with (
        LocalEntra.start(DIRECTORY, folder=tmp_path) as entra,
        aiohttp.ClientSession() as web,
    ):
        entra.faults.break_down()
        async with web.get(
            entra.identity_endpoint,
            params={"api-version": "2019-08-01", "resource": API.app_id_uri},
            headers={"X-IDENTITY-HEADER": entra.identity_header},
        ) as answer:
            status = answer.status

    assert 200 == status


async def test_when_the_issuer_is_slow_then_it_answers_rightly_but_late(tmp_path: Path) -> None:
    """And whoever broke it meanwhile gets a 503."""
    keys = f"/{TENANT_ID}/discovery/v2.0/keys"
    async with (
        LocalEntra.start(DIRECTORY, folder=tmp_path) as entra,
        aiohttp.ClientSession() as web,
    ):
        entra.faults.slow_down(0.2)
        began = asyncio.get_running_loop().time()
        async with web.get(f"{entra.authority}{keys}") as answer:
            slow = answer.status
        took = asyncio.get_running_loop().time() - began
        asked = asyncio.ensure_future(web.get(f"{entra.authority}{keys}"))
        await asyncio.sleep(0.05)
        entra.faults.break_down()
        broken = (await asked).status

    assert (200, 503) == (slow, broken)
    assert 0.2 <= took < 2.0


async def test_when_old_keys_are_removed_then_only_the_one_that_signs_is_published(
    tmp_path: Path,
) -> None:
    """A removal without a rotation before it removes nothing."""
    async with LocalEntra.start(DIRECTORY, folder=tmp_path) as entra:
        nothing = entra.remove_old_keys()
        first = entra.issuer.keys.current
        entra.rotate_signing_key()
        removed = entra.remove_old_keys()
        published = entra.issuer.keys.published

    assert ((), (first,)) == (nothing, removed)
    assert (entra.issuer.keys.current,) == published


async def test_when_an_application_is_replaced_then_it_signs_in_by_the_new_secret_only(
    tmp_path: Path,
) -> None:
    """At once; who is not there cannot be replaced."""
    async with LocalEntra.start(DIRECTORY, folder=tmp_path) as entra:
        entra.replace_application(replace(CLIENT, secrets=("made-up-new-secret",)))
        with pytest.raises(LookupError):
            entra.replace_application(replace(CLIENT, client_id=TENANT_ID))

        application = entra.directory.find_application(CLIENT.client_id)

    assert application is not None
    assert ("made-up-new-secret",) == application.secrets


async def test_when_the_clock_of_entra_is_off_then_its_answers_say_its_own_time(
    tmp_path: Path,
) -> None:
    """As a server whose clock is wrong does: tokens and the Date header agree."""
    clock = FakeClock()
    async with (
        LocalEntra.start(DIRECTORY, folder=tmp_path, clock=clock) as entra,
        aiohttp.ClientSession() as session,
        session.get(f"{entra.authority}/{TENANT_ID}/discovery/v2.0/keys") as answer,
    ):
        date = parsedate_to_datetime(answer.headers["Date"])

    assert int(clock.now()) == date.timestamp()


async def test_when_requests_are_lost_on_their_way_then_only_those_get_no_answer(
    tmp_path: Path,
) -> None:
    """Until the way is open again."""
    async with (
        LocalEntra.start(DIRECTORY, folder=tmp_path) as entra,
        aiohttp.ClientSession() as session,
    ):
        url = f"{entra.authority}/{TENANT_ID}/discovery/v2.0/keys"
        entra.lose(lambda request: "x-lost" in request.headers)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(url, headers={"x-lost": "1"})
        async with session.get(url) as other:
            assert 200 == other.status

        entra.lose(None)
        async with session.get(url, headers={"x-lost": "1"}) as answer:
            status = answer.status

    assert 200 == status
