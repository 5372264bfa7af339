"""The verifier: form, refusals, key, signature, access, and what it remembers."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws_authorizer.errors import AccessDenied, KeySetUnavailable, TokenRejected
from aws_authorizer.key_set import StaticKeySet
from aws_authorizer.signing_key import SigningKey
from aws_authorizer.token import MAX_TOKEN_CHARACTERS
from aws_authorizer.verifier import Verifier
from shared.principal import Principal
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock
from tests.support.keys import ISSUER, KEY_ID, TENANT_ID, private_key, signing_key
from tests.support.tokens import (
    CLIENT_ID,
    LEEWAY,
    NOW,
    OBJECT_ID,
    OTHER_ID,
    claim_contract,
    signed_token,
    valid_claims,
    valid_v1_claims,
    verifier,
)

TOKEN = signed_token()


class CountingKeySource:
    """Keys that tests swap, and how often they were asked for."""

    def __init__(self, keys: Mapping[str, SigningKey] | None) -> None:
        """Begin with these; None stands for keys that cannot be had."""
        self.keys = keys
        self.asked = 0

    def get_signing_key(self, key_id: str) -> SigningKey | None:
        """The key."""
        self.asked += 1
        if self.keys is None:
            raise KeySetUnavailable("down")
        return self.keys.get(key_id)


def rejection(token: str, tested: Verifier | None = None) -> Reason:
    """Why the token is rejected."""
    with pytest.raises(TokenRejected) as caught:
        (tested or verifier()).verify(token)
    return caught.value.reason


@pytest.mark.parametrize("claims", [valid_claims(), valid_v1_claims()], ids=["v2", "v1"])
def test_when_a_token_is_good_then_it_proves_its_caller(claims: dict[str, object]) -> None:
    """Both versions prove the same caller."""
    caller = verifier().verify(signed_token(claims))

    assert (
        Principal(OBJECT_ID, TENANT_ID, CLIENT_ID, frozenset({"Records.Read"}), "Zx9-_token-id")
        == caller
    )


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", Reason.MALFORMED_TOKEN),
        ("ä" + TOKEN, Reason.MALFORMED_TOKEN),
        ("\ud800", Reason.MALFORMED_TOKEN),
        ("A" * MAX_TOKEN_CHARACTERS, Reason.MALFORMED_TOKEN),
        ("A" * (MAX_TOKEN_CHARACTERS + 1), Reason.TOKEN_TOO_LONG),
        ("ä" * (MAX_TOKEN_CHARACTERS + 1), Reason.TOKEN_TOO_LONG),  # before anything is made of it
        (TOKEN + " ", Reason.MALFORMED_TOKEN),
        (signed_token(kid="key-9"), Reason.UNKNOWN_KEY),
        (signed_token(key=private_key("key-2")), Reason.BAD_SIGNATURE),
        (signed_token(valid_claims(aud=OTHER_ID)), Reason.WRONG_AUDIENCE),
        (signed_token(valid_claims(idtyp="user")), Reason.UNCLEAR_IDENTITY),
        (signed_token(valid_claims(nbf=NOW + LEEWAY + 1)), Reason.NOT_YET_VALID),
        (signed_token(valid_claims(exp=NOW - LEEWAY)), Reason.EXPIRED),
        (signed_token(valid_claims(exp="soon")), Reason.MALFORMED_TIMES),
    ],
)
def test_when_a_token_lies_then_it_is_rejected(token: str, reason: Reason) -> None:
    """One lie a token, from the form to the times."""
    assert reason == rejection(token)


def test_when_times_are_at_the_leeway_then_the_token_is_good() -> None:
    """The leeway counts on both sides."""
    tested = verifier()

    assert tested.verify(signed_token(valid_claims(nbf=NOW + LEEWAY)))
    assert tested.verify(signed_token(valid_claims(exp=NOW - LEEWAY + 1, iat=NOW - 99, nbf=None)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"azp": OTHER_ID}, Reason.UNKNOWN_CLIENT), ({"roles": None}, Reason.MISSING_ROLE)],
)
def test_when_a_proven_caller_is_not_admitted_then_access_is_denied(
    changes: dict[str, object], reason: Reason
) -> None:
    """A good token of a caller who is not allowed is denied, not rejected, and says who it was."""
    with pytest.raises(AccessDenied) as caught:
        verifier().verify(signed_token(valid_claims(**changes)))

    assert reason == caught.value.reason
    assert OBJECT_ID == caught.value.principal.object_id


@pytest.mark.parametrize("changes", [{"azp": OTHER_ID}, {"roles": None}, {"idtyp": "user"}])
def test_when_the_signature_is_bad_then_nothing_else_is_said(changes: dict[str, object]) -> None:
    """What only a proven caller may be told is not told about a forged token."""
    forged = signed_token(valid_claims(**changes), key=private_key("key-2"))

    assert Reason.BAD_SIGNATURE == rejection(forged)


def test_when_a_token_is_refused_before_its_key_then_no_key_is_asked_for() -> None:
    """Cheap refusals come first, so that forged tokens cause no fetch."""
    source = CountingKeySource({})
    tested = verifier(key_source=source)
    for token in (
        "x",
        signed_token(valid_claims(aud=OTHER_ID)),
        signed_token(valid_claims(iss=ISSUER + "/")),
        signed_token(valid_claims(exp=NOW - 100)),
        signed_token(alg="HS256"),
    ):
        rejection(token, tested)

    assert 0 == source.asked


def test_when_keys_cannot_be_had_then_nothing_is_decided() -> None:
    """No key set is no reason to reject."""
    with pytest.raises(KeySetUnavailable):
        verifier(key_source=CountingKeySource(None)).verify(TOKEN)


def test_when_a_key_belongs_to_another_issuer_then_it_vouches_for_nothing() -> None:
    """The key's issuer is compared before its signature counts."""
    foreign = signing_key(issuer=ISSUER.replace(TENANT_ID, OTHER_ID))
    tested = verifier(key_source=StaticKeySet({KEY_ID: foreign}))

    assert Reason.FOREIGN_KEY == rejection(TOKEN, tested)


def test_when_tenants_have_keys_of_their_own_then_each_vouches_for_its_own_tokens() -> None:
    """A further tenant's key cannot sign for the first one, though both are accepted."""
    contract = claim_contract(tenant_ids=(TENANT_ID, OTHER_ID))
    other_issuer = ISSUER.replace(TENANT_ID, OTHER_ID)
    sources = {
        TENANT_ID: StaticKeySet({KEY_ID: signing_key()}),
        OTHER_ID: StaticKeySet({"key-2": signing_key("key-2", issuer=other_issuer)}),
    }
    tested = Verifier(contract, sources, FakeClock(now=NOW))
    other_claims = valid_claims(iss=other_issuer, tid=OTHER_ID)
    other_key = private_key("key-2")

    assert (
        OTHER_ID == tested.verify(signed_token(other_claims, key=other_key, kid="key-2")).tenant_id
    )
    assert Reason.UNKNOWN_KEY == rejection(signed_token(key=other_key, kid="key-2"), tested)


def test_when_a_tenant_has_no_keys_then_there_is_no_verifier() -> None:
    """A forgotten key source shows at the start."""
    with pytest.raises(ValueError, match="without keys"):
        Verifier(claim_contract(), {}, FakeClock())


# --- what is remembered -------------------------------------------------------------------------


@pytest.mark.parametrize("begins", [NOW, NOW + LEEWAY], ids=["past", "now"])
def test_when_a_token_comes_again_then_its_signature_is_not_checked_again(
    monkeypatch: pytest.MonkeyPatch, begins: float
) -> None:
    """The second time, the answer comes from memory, from the first moment of its validity on."""
    checked: list[bytes] = []
    verifies = SigningKey.verifies

    def count(key: SigningKey, signing_input: bytes, signature: bytes) -> bool:
        checked.append(signing_input)
        return verifies(key, signing_input, signature)

    monkeypatch.setattr(SigningKey, "verifies", count)
    tested = verifier()
    token = signed_token(valid_claims(nbf=begins))

    assert tested.verify(token) == tested.verify(token)
    assert 1 == len(checked)


@pytest.mark.parametrize("later", [0, 1, 3600])
def test_when_a_remembered_token_expires_then_it_is_refused_at_once(later: int) -> None:
    """To the second, leeway included, and ever after; and it takes up no more room."""
    clock = FakeClock(now=NOW)
    tested = verifier(clock=clock)
    tested.verify(TOKEN)
    clock.advance(3600 + LEEWAY - 1)
    tested.verify(TOKEN)
    clock.advance(1 + later)

    assert Reason.EXPIRED == rejection(TOKEN, tested)
    assert 0 == len(tested._cache)


def test_when_the_clock_is_set_back_then_a_remembered_token_is_not_yet_valid() -> None:
    """Both ends of its validity are remembered."""
    clock = FakeClock(now=NOW)
    tested = verifier(clock=clock)
    tested.verify(TOKEN)
    clock.advance(-LEEWAY - 1)

    assert Reason.NOT_YET_VALID == rejection(TOKEN, tested)


def test_when_the_key_is_removed_then_a_remembered_token_is_refused_at_once() -> None:
    """What a withdrawn key has verified counts no more."""
    source = CountingKeySource({KEY_ID: signing_key()})
    tested = verifier(key_source=source)
    tested.verify(TOKEN)
    source.keys = {"key-2": signing_key("key-2")}

    assert Reason.UNKNOWN_KEY == rejection(TOKEN, tested)


def test_when_another_key_takes_the_id_then_a_remembered_token_is_refused_at_once() -> None:
    """It is the key that counts, not its name."""
    source = CountingKeySource({KEY_ID: signing_key()})
    tested = verifier(key_source=source)
    tested.verify(TOKEN)
    source.keys = {KEY_ID: signing_key("key-2")}

    assert Reason.BAD_SIGNATURE == rejection(TOKEN, tested)


def test_when_keys_cannot_be_had_any_more_then_a_remembered_token_is_undecided() -> None:
    """Memory does not outlast the key set."""
    source = CountingKeySource({KEY_ID: signing_key()})
    tested = verifier(key_source=source)
    tested.verify(TOKEN)
    source.keys = None

    with pytest.raises(KeySetUnavailable):
        tested.verify(TOKEN)


def test_when_a_token_is_refused_then_it_is_not_remembered() -> None:
    """Neither rejected nor denied tokens take up room."""
    tested = verifier()
    for token in (signed_token(key=private_key("key-2")), "x"):
        rejection(token, tested)
    with pytest.raises(AccessDenied):
        tested.verify(signed_token(valid_claims(roles=None)))

    assert 0 == len(tested._cache)


# --- properties ---------------------------------------------------------------------------------


def test_when_any_bit_of_a_token_is_flipped_then_it_is_refused() -> None:
    """Every single-bit flip of a good, remembered token."""
    tested = verifier()
    tested.verify(TOKEN)
    encoded = TOKEN.encode()
    for position in range(len(encoded)):
        for bit in range(8):
            flipped = bytearray(encoded)
            flipped[position] ^= 1 << bit

            rejection(flipped.decode("latin-1"), tested)


def test_when_a_token_is_truncated_then_it_is_refused() -> None:
    """Every truncation of a good, remembered token, at either end."""
    tested = verifier()
    tested.verify(TOKEN)
    for length in range(len(TOKEN)):
        rejection(TOKEN[:length], tested)
        rejection(TOKEN[length + 1 :], tested)


@settings(max_examples=300)
@given(
    st.integers(0, len(TOKEN)),
    st.integers(0, 40),
    st.text(st.characters(codec="utf-8"), max_size=10),
)
def test_when_a_token_is_edited_then_it_is_refused(position: int, cut: int, put: str) -> None:
    """Cutting characters out and putting others in anywhere never gives another good token."""
    edited = TOKEN[:position] + put + TOKEN[position + cut :]
    tested = verifier()

    if edited == TOKEN:
        assert tested.verify(edited)
    else:
        rejection(edited, tested)
