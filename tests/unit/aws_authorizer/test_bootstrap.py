"""The composition root."""

import json
from pathlib import Path

import pytest

from aws_authorizer import bootstrap
from aws_authorizer.bootstrap import (
    BUNDLED_FRESH_SECONDS,
    Authorizer,
    build_accepted_tokens,
    build_authorizer,
    get_authorizer,
    write_to_stdout,
)
from aws_authorizer.errors import KeySetUnavailable, TokenRejected
from aws_authorizer.key_set_fetch import Fetch, FetchedKeySet, FetchFailed
from aws_authorizer.settings import Settings, load_settings
from shared.entra import TokenVersion
from shared.reasons import Reason
from shared.settings_reader import SettingsError
from tests.support.fake_clock import FakeClock
from tests.support.keys import ISSUER, TENANT_ID, jwk, key_set
from tests.support.tokens import (
    API,
    API_CLIENT_ID,
    APP_ID_URI,
    CLIENT_ID,
    NOW,
    OTHER_ID,
    signed_token,
    valid_claims,
    valid_v1_claims,
)

REQUIRED = {
    "ENTRA_TENANT_ID": TENANT_ID,
    "API_CLIENT_ID": API_CLIENT_ID,
    "ALLOWED_CLIENT_IDS": CLIENT_ID,
}


def settings(**environment: str) -> Settings:
    """The required settings and these."""
    return load_settings(REQUIRED | environment)


class Endpoint:
    """Every tenant's key set, and which of them were asked for."""

    def __init__(self, body: bytes | None) -> None:
        """Answer with this body; None stands for an endpoint that is down."""
        self.body = body
        self.urls: list[str] = []

    def build_fetch(self, url: str, _seconds: float) -> Fetch:
        """A way to fetch that URL."""

        def fetch() -> FetchedKeySet:
            self.urls.append(url)
            if self.body is None:
                raise FetchFailed("unreachable")
            return FetchedKeySet(self.body, None)

        return fetch


def authorizer(
    built: Settings,
    endpoint: Endpoint,
    clock: FakeClock | None = None,
    lines: list[str] | None = None,
) -> Authorizer:
    """An authorizer whose endpoint is the test's."""
    return build_authorizer(
        built,
        clock=clock or FakeClock(now=NOW),
        write=([] if lines is None else lines).append,
        build_fetch=endpoint.build_fetch,
    )


def test_when_versions_and_tenants_are_accepted_then_each_pair_has_its_row() -> None:
    """v1.0 and v2.0 side by side; a URI is an audience of v1.0 alone."""
    tokens = build_accepted_tokens(API, (TENANT_ID, OTHER_ID), {"api://further", OTHER_ID})
    rows = {(token.version, token.tenant_id): token for token in tokens}

    assert 4 == len(rows)
    v1, v2 = rows[TokenVersion.V1, TENANT_ID], rows[TokenVersion.V2, TENANT_ID]
    assert (f"https://sts.windows.net/{TENANT_ID}/", ISSUER) == (v1.issuer, v2.issuer)
    assert {API_CLIENT_ID, APP_ID_URI, OTHER_ID, "api://further"} == set(v1.audiences)
    assert {API_CLIENT_ID, OTHER_ID} == set(v2.audiences)
    assert ("appid", "azp") == (v1.client_claim, v2.client_claim)
    assert ISSUER == v1.key_issuer == v2.key_issuer


def test_when_it_is_built_then_nothing_is_fetched_before_a_token_needs_it() -> None:
    """One fetch, of the tenant's own key set, when the first token comes."""
    endpoint = Endpoint(key_set())
    built = authorizer(settings(), endpoint)
    assert [] == endpoint.urls

    assert built.verifier.verify(signed_token())
    assert [f"https://login.microsoftonline.com/{TENANT_ID}/discovery/v2.0/keys"] == endpoint.urls


def test_when_v1_is_not_configured_then_it_is_refused() -> None:
    """By default version 2.0 alone."""
    built = authorizer(settings(API_APP_ID_URI=APP_ID_URI), Endpoint(key_set()))
    with pytest.raises(TokenRejected) as caught:
        built.verifier.verify(signed_token(valid_v1_claims()))

    assert Reason.UNACCEPTED_VERSION == caught.value.reason
    both = settings(API_APP_ID_URI=APP_ID_URI, ACCEPTED_TOKEN_VERSIONS="1.0,2.0")
    assert authorizer(both, Endpoint(key_set())).verifier.verify(signed_token(valid_v1_claims()))


def test_when_a_further_tenant_is_configured_then_its_own_keys_are_fetched() -> None:
    """From its own address, and bound to its own issuer."""
    other_issuer = ISSUER.replace(TENANT_ID, OTHER_ID)
    endpoint = Endpoint(key_set(jwk(issuer=other_issuer)))
    built = authorizer(settings(ADDITIONAL_TENANT_IDS=f"{OTHER_ID},{TENANT_ID}"), endpoint)

    assert built.verifier.verify(signed_token(valid_claims(iss=other_issuer, tid=OTHER_ID)))
    assert [f"https://login.microsoftonline.com/{OTHER_ID}/discovery/v2.0/keys"] == endpoint.urls


def test_when_a_key_set_is_bundled_then_the_first_decision_needs_no_network(tmp_path: Path) -> None:
    """And later ones do not depend on it while it lasts."""
    file = tmp_path / "key_set.json"
    file.write_bytes(key_set(retrieved_at=NOW - 60))
    endpoint, clock = Endpoint(None), FakeClock(now=NOW)
    built = authorizer(settings(KEY_SET_FILE=str(file)), endpoint, clock)

    assert built.verifier.verify(signed_token())
    assert [] == endpoint.urls
    clock.advance(BUNDLED_FRESH_SECONDS)
    assert built.verifier.verify(signed_token())
    assert 1 == len(endpoint.urls)


def test_when_a_key_set_is_bundled_then_it_serves_its_own_tenant_only(tmp_path: Path) -> None:
    """A further tenant's tokens are checked with that tenant's keys, which must be fetched."""
    file = tmp_path / "key_set.json"
    file.write_bytes(key_set(jwk(issuer=None), retrieved_at=NOW))
    endpoint = Endpoint(None)
    both = settings(KEY_SET_FILE=str(file), ADDITIONAL_TENANT_IDS=OTHER_ID)
    built = authorizer(both, endpoint)
    other_issuer = ISSUER.replace(TENANT_ID, OTHER_ID)

    assert built.verifier.verify(signed_token())
    with pytest.raises(KeySetUnavailable):
        built.verifier.verify(signed_token(valid_claims(iss=other_issuer, tid=OTHER_ID)))
    assert [f"https://login.microsoftonline.com/{OTHER_ID}/discovery/v2.0/keys"] == endpoint.urls


@pytest.mark.parametrize(("age", "is_used"), [(86_399, True), (86_400, False)])
def test_when_no_age_is_set_then_a_bundled_set_lasts_as_long_as_a_fetched_one(
    tmp_path: Path,
    age: int,
    is_used: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A withdrawn key must not live longer because it was bundled; the log says how old it is."""
    file = tmp_path / "key_set.json"
    file.write_bytes(key_set(retrieved_at=NOW - age))
    lines: list[str] = []
    endpoint = Endpoint(key_set())
    built = authorizer(settings(KEY_SET_FILE=str(file)), endpoint, lines=lines)
    built.verifier.verify(signed_token())

    assert is_used == (not endpoint.urls)
    members = json.loads(lines[0])
    assert (age, is_used) == (members["age_seconds"], members["is_used"])


def test_when_the_bundled_set_is_too_old_then_it_is_as_if_there_were_none(tmp_path: Path) -> None:
    """An old bundle costs a fetch, and without one nothing is decided."""
    file = tmp_path / "key_set.json"
    file.write_bytes(key_set(retrieved_at=NOW - 61))
    old = settings(KEY_SET_FILE=str(file), KEY_SET_FILE_MAX_AGE_SECONDS="61")

    assert authorizer(old, Endpoint(key_set())).verifier.verify(signed_token())
    with pytest.raises(KeySetUnavailable):
        authorizer(old, Endpoint(None)).verifier.verify(signed_token())


@pytest.mark.parametrize("content", [None, b"", b"{}", key_set()])
def test_when_the_bundled_set_cannot_be_read_then_the_setting_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    """A file that was meant to be there and is not right is a fault of the deployment."""
    file = tmp_path / "key_set.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match="KEY_SET_FILE: cannot be used"):
        authorizer(settings(KEY_SET_FILE=str(file)), Endpoint(None))


def test_when_keys_are_fetched_then_the_log_counts_it() -> None:
    """One line for each attempt."""
    lines: list[str] = []
    built = authorizer(settings(), Endpoint(None), lines=lines)
    with pytest.raises(KeySetUnavailable):
        built.verifier.verify(signed_token())

    assert 1 == len(lines)
    assert '"result": "unreachable"' in lines[0]


def test_when_the_process_asks_twice_then_it_has_one_authorizer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Built by the first call that can, and kept."""
    monkeypatch.setattr(bootstrap, "get_authorizer", get_authorizer)
    get_authorizer.cache_clear()
    for name in REQUIRED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError):
        get_authorizer()
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)

    assert get_authorizer() is get_authorizer()
    get_authorizer.cache_clear()


def test_when_a_line_is_written_then_it_goes_to_what_is_stdout_now(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lambda's runtime replaces it after the import."""
    write_to_stdout("line\n")

    assert "line\n" == capsys.readouterr().out
