"""Makes the certificate by which a client proves who it is, with its private key."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from shared.clock import Clock

_KEY_SIZE: Final = 2048


class ClientCertificate(NamedTuple):
    """A self-signed certificate, as an app registration and as azure-identity take it."""

    public: bytes
    """Only the certificate, in PEM."""
    with_private_key: bytes
    """Certificate and private key in one PEM file; a secret."""


def make_client_certificate(name: str, lifetime: timedelta, clock: Clock) -> ClientCertificate:
    """Return a new certificate for a new key, valid from an hour ago until `lifetime` from now."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_SIZE)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.fromtimestamp(clock.now(), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lifetime)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return ClientCertificate(public, private + public)
