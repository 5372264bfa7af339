"""The tenant's signing keys: one signs, and every live one is published."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from shared.clock import Clock
from shared.formats.base64url import encode_base64url

_CERTIFICATE_LIFETIME = timedelta(days=5 * 365)


def _unsigned(number: int) -> str:
    return encode_base64url(number.to_bytes((number.bit_length() + 7) // 8))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key with its certificate. As in Entra ID, the certificate's thumbprint names it."""

    private_key: rsa.RSAPrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)
    """The certificate in DER."""
    key_id: str

    @classmethod
    def generate(cls, clock: Clock, bits: int = 2048) -> Self:
        """Return a new key with a self-signed certificate."""
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local Entra emulator")])
        now = datetime.fromtimestamp(clock.now(), UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + _CERTIFICATE_LIFETIME)
            .sign(private_key, hashes.SHA256())
        )
        thumbprint = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - x5t is defined as SHA-1
        return cls(
            private_key,
            certificate.public_bytes(serialization.Encoding.DER),
            encode_base64url(thumbprint),
        )

    def sign(self, signing_input: bytes) -> bytes:
        """Return the RS256 signature."""
        return self.private_key.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())

    def as_jwk(self) -> dict[str, object]:
        """Return the public half, as Entra ID publishes it: without `alg`."""
        numbers = self.private_key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.key_id,
            "x5t": self.key_id,
            "n": _unsigned(numbers.n),
            "e": _unsigned(numbers.e),
            "x5c": [base64.b64encode(self.certificate).decode()],
        }


class KeyStore:
    """The live signing keys, the one that signs last."""

    def __init__(self, clock: Clock) -> None:
        """Start with one new key."""
        self._clock = clock
        self._keys = [SigningKey.generate(clock)]

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._keys[-1]

    @property
    def published(self) -> tuple[SigningKey, ...]:
        """Every live key, newest first; the order means nothing to a verifier."""
        return tuple(reversed(self._keys))

    def rotate(self) -> SigningKey:
        """Sign with a new key from now on, and return it; old keys stay published until dropped."""
        self._keys.append(SigningKey.generate(self._clock))
        return self.current

    def drop(self, key_id: str) -> None:
        """Stop publishing a retired key.

        Raises:
            ValueError: it is the key that signs, or is not published.

        """
        retired = [key for key in self._keys[:-1] if key.key_id == key_id]
        if not retired:
            raise ValueError(f"{key_id!r} is not a retired key")
        self._keys.remove(retired[0])
