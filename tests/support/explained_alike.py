"""Explains every token that a test verifies, and compares: the explanation has the same outcome."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from aws_authorizer.errors import AccessDenied, KeySetUnavailable, TokenRejected
from aws_authorizer.explanation.explained_checks import CheckStatus, Explanation
from aws_authorizer.explanation.explained_token import explain_token
from aws_authorizer.key_set import KeySource
from aws_authorizer.signing_key import SigningKey
from aws_authorizer.verifier import Verifier
from shared.principal import Principal
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock
from tests.support.tokens import API


class Remembered(threading.local):
    """What the keys' source last said in this thread, so that it is not asked a second time."""

    answer: SigningKey | KeySetUnavailable | None = None


class RememberingKeys:
    """Another source's keys; it remembers the answer."""

    def __init__(self, source: KeySource, remembered: Remembered) -> None:
        """Stand before the source."""
        self.source = source
        self.remembered = remembered

    def get_signing_key(self, key_id: str) -> SigningKey | None:
        """The source's answer."""
        try:
            self.remembered.answer = self.source.get_signing_key(key_id)
        except KeySetUnavailable as unavailable:
            self.remembered.answer = unavailable
            raise
        return self.remembered.answer


_VERIFIES = SigningKey.verifies


class UncountedKey(SigningKey):
    """The same key, whose checks a test that counts them does not see."""

    def __init__(self, key: SigningKey) -> None:
        """Take the key's numbers."""
        super().__init__(key.key_id, key.material[0], key.material[1], key.issuer)

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """What the class said before any test changed it."""
        return _VERIFIES(self, signing_input, signature)


class RememberedKeys:
    """The same answer again, whatever is asked."""

    def __init__(self, answer: SigningKey | KeySetUnavailable | None) -> None:
        """Take the answer."""
        self.answer = answer

    def get_signing_key(self, _key_id: str) -> SigningKey | None:
        """It."""
        if isinstance(self.answer, KeySetUnavailable):
            raise self.answer
        return None if self.answer is None else UncountedKey(self.answer)


def assert_explained_alike(explanation: Explanation, said: Principal | Reason) -> None:
    """The first check that fails gives the verifier's reason; without one, the verifier returns."""
    failed = [check for check in explanation.checks if check.status is CheckStatus.FAILED]
    if isinstance(said, Principal):
        assert [] == failed
        assert (Reason.ALLOWED, said, True) == (
            explanation.reason,
            explanation.principal,
            explanation.is_verified,
        )
        return
    assert explanation.first_failure is not None
    assert said is explanation.first_failure.reason
    assert said is explanation.reason
    if said is not Reason.KEY_SET_UNAVAILABLE:
        assert explanation.first_failure is failed[0]
    assert all(check.fix and check.reason for check in failed)


@contextmanager
def explaining_every_token() -> Iterator[list[Reason]]:
    """Within the block, each token that any verifier is given is explained too, and compared.

    What comes out are the reasons that were compared.
    """
    compared: list[Reason] = []
    remembered = Remembered()
    build, verify = Verifier.__init__, Verifier.verify

    def build_remembering(
        self: Verifier, contract: Any, key_sources: Mapping[str, KeySource], *args: Any, **kw: Any
    ) -> None:
        sources = {name: RememberingKeys(keys, remembered) for name, keys in key_sources.items()}
        build(self, contract, sources, *args, **kw)

    def verify_and_explain(self: Verifier, unverified_token: str) -> Principal:
        remembered.answer = None
        now = self._clock.now()
        try:
            said = verify(self, unverified_token)
        except (TokenRejected, AccessDenied, KeySetUnavailable) as refused:
            compare(self, unverified_token, now, refused.reason)
            raise
        compare(self, unverified_token, now, said)
        return said

    def compare(
        self: Verifier, unverified_token: str, now: float, said: Principal | Reason
    ) -> None:
        keys = dict.fromkeys(self._key_sources, RememberedKeys(remembered.answer))
        explanation = explain_token(
            unverified_token, self._contract, keys, FakeClock(now=now), api=API
        )
        assert_explained_alike(explanation, said)
        compared.append(explanation.reason)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Verifier, "__init__", build_remembering)
        patch.setattr(Verifier, "verify", verify_and_explain)
        yield compared
