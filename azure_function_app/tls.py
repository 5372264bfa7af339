"""Whom the Function App trusts over TLS, and by which certificate it makes itself known.

Beyond the public authorities that certifi lists, nothing is trusted that no setting names: neither
the machine's own list nor a file that an environment variable names.
"""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

_MAX_BYTES: Final = 1024 * 1024
"""Some seven hundred certificates, many times what all public authorities take."""
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*+-----END CERTIFICATE-----"
)


class TlsFileProblem(Exception):
    """A file that TLS needs cannot be used; its text completes "the setting ..."."""


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """Where our own certificate is, for a server that asks for one (RFC 8446 section 4.3.2)."""

    path: str
    """A PEM file: the certificate, those of its issuers, and the private key unless that has a file
    of its own."""
    key_path: str | None = None
    password: str | None = field(default=None, repr=False)
    """What the private key is encrypted with, if it is."""


def read_authorities(path: str) -> str:
    """Return the certificates in the file, as PEM without anything around them.

    Whether they are authorities' and still valid is not checked: a server's own certificate can be
    trusted, too, and for itself only.

    Raises:
        TlsFileProblem: the file cannot be read, or does not hold certificates and only those.

    """
    content = _read(path)
    if not content.strip():
        raise TlsFileProblem("names an empty file")
    if b"-----BEGIN " not in content:
        raise TlsFileProblem("names a file that is not PEM")
    if b"PRIVATE KEY-----" in content:
        raise TlsFileProblem("names a file with a private key, which nobody needs who only trusts")
    found = _CERTIFICATE.findall(content)
    if not found:
        raise TlsFileProblem("names a file that holds no certificate")
    authorities = b"\n".join([*found, b""]).decode("ascii")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError) as error:
        raise TlsFileProblem("names a file with a broken certificate") from error
    if len(found) != content.count(b"-----BEGIN CERTIFICATE-----"):
        raise TlsFileProblem("names a file with a broken certificate")
    return authorities


def check_certificate(certificate: TlsCertificate) -> None:
    """Pass a certificate that can be shown to a server.

    Whether it is still valid, and whether any server takes it, is not checked.

    Raises:
        TlsFileProblem: a file cannot be read, or certificate, key and password do not fit together.

    """
    _read(certificate.path)
    if certificate.key_path is not None:
        _read(certificate.key_path)
    _load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate)


def build_tls_context(
    *, authorities_path: str | None = None, certificate: TlsCertificate | None = None
) -> ssl.SSLContext:
    """Return what a client needs to speak TLS 1.2 or later with servers that it trusts.

    Args:
        authorities_path: a PEM file of authorities to trust beside the public ones.
        certificate: what to show to servers that ask who we are.

    Raises:
        TlsFileProblem: a file cannot be used.

    """
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities_path is not None:
        context.load_verify_locations(cadata=read_authorities(authorities_path))
    if certificate is not None:
        _load_certificate(context, certificate)
    return context


def _read(path: str) -> bytes:
    try:
        if not Path(path).is_file():
            raise TlsFileProblem("names no file")
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise TlsFileProblem("names a file that cannot be read") from error
    if len(content) > _MAX_BYTES:
        raise TlsFileProblem(f"names a file of more than {_MAX_BYTES} bytes")
    return content


def _load_certificate(context: ssl.SSLContext, certificate: TlsCertificate) -> None:
    is_encrypted = False

    def password() -> str:
        # Without an answer of ours OpenSSL would ask on the terminal.
        nonlocal is_encrypted
        is_encrypted = True
        return certificate.password or ""

    try:
        context.load_cert_chain(certificate.path, certificate.key_path, password)
    except (OSError, ValueError) as error:
        raise TlsFileProblem(_explain(error, certificate, is_encrypted=is_encrypted)) from error
    if certificate.password is not None and not is_encrypted:
        raise TlsFileProblem(
            "names a key that is not encrypted, so that its password is for nothing"
        )


def _explain(error: Exception, certificate: TlsCertificate, *, is_encrypted: bool) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "names a certificate that the private key does not belong to"
    if is_encrypted and certificate.password is None:
        return "names a key that is encrypted, and its password is missing"
    if is_encrypted:
        return "names a key that its password does not open"
    return "names files that do not hold a certificate and its private key, in PEM"
