"""Client assertions: a JWT in place of a secret, by certificate or by federation (RFC 7523)."""

from collections.abc import Collection, Mapping
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.exceptions import InvalidTokenError, PyJWKSetError

from emulator.entra.directory import TOKEN_EXCHANGE, Application, FederatedCredential
from emulator.entra.errors import EntraRefusal
from shared.formats.base64url import encode_base64url

_LEEWAY = 300
"""Seconds by which a client's clock may differ."""
_CERTIFICATE_ALGORITHMS = ("RS256", "PS256")


def _refused(code: int, description: str) -> EntraRefusal:
    return EntraRefusal(code, "invalid_client", description)


def verify_certificate_assertion(
    assertion: str, application: Application, audiences: Collection[str]
) -> None:
    """Raise unless the holder of one of the application's certificates signed the assertion.

    Both forms that azure-identity sends are taken: RS256 with `x5t`, and PS256 with `x5t#S256`.

    Raises:
        EntraRefusal: no certificate fits, or a claim is not what RFC 7523 section 3 asks for.

    """
    header, unverified_claims = _read_unverified(assertion)
    certificate = _find_certificate(header, application)
    public_key = certificate.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise _refused(700027, "The certificate with identifier used to sign is not an RSA one.")
    _verify(assertion, public_key, _CERTIFICATE_ALGORITHMS)
    if not (unverified_claims.get("iss") == unverified_claims.get("sub") == application.client_id):
        raise _refused(
            700021,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        )
    if unverified_claims.get("aud") not in audiences:
        raise _refused(700023, "Client assertion audience claim does not match Realm issuer.")


def verify_federated_assertion(
    assertion: str, application: Application, own_issuer: str, own_key_set: Mapping[str, object]
) -> None:
    """Raise unless the assertion is a token that one of the application's federations trusts.

    Raises:
        EntraRefusal: no federated credential matches, or the token is not good.

    """
    header, unverified_claims = _read_unverified(assertion)
    trust = _find_trust(unverified_claims, application)
    key_set = own_key_set if trust.issuer == own_issuer else trust.key_set
    try:
        keys = jwt.PyJWKSet.from_dict(dict(key_set or {}))
        public_key = keys[header["kid"]].key
    except (KeyError, PyJWKSetError):
        raise _refused(
            700027,
            "Client assertion contains an invalid signature. [Reason - The key was not found.]",
        ) from None
    _verify(assertion, public_key, ("RS256",))


def is_certificate_assertion(assertion: str, application: Application) -> bool:
    """Return whether the application wrote the assertion itself, rather than another issuer.

    Decides only which check follows; it proves nothing.
    """
    _, unverified_claims = _read_unverified(assertion)
    return unverified_claims.get("iss") == application.client_id


def _read_unverified(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except InvalidTokenError:
        raise _refused(50027, "JWT token is invalid or malformed.") from None
    return header, claims


def _find_certificate(header: Mapping[str, object], application: Application) -> x509.Certificate:
    for pem in application.certificates:
        certificate = x509.load_pem_x509_certificate(pem)
        sha1 = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - x5t is defined as SHA-1
        sha256 = certificate.fingerprint(hashes.SHA256())
        if _names(header.get("x5t"), sha1) or _names(header.get("x5t#S256"), sha256):
            return certificate
    raise _refused(
        700027, "Client assertion contains an invalid signature. [Reason - The key was not found.]"
    )


def _names(thumbprint: object, fingerprint: bytes) -> bool:
    # msal and azure-identity pad the thumbprint, although RFC 7515 section 4.1.7 says not to.
    return isinstance(thumbprint, str) and thumbprint.rstrip("=") == encode_base64url(fingerprint)


def _find_trust(
    unverified_claims: Mapping[str, object], application: Application
) -> FederatedCredential:
    issuer, subject, audience = (unverified_claims.get(name) for name in ("iss", "sub", "aud"))
    candidates = [t for t in application.federated_credentials if t.issuer == issuer]
    if not candidates:
        raise _refused(
            700211,
            f"No matching federated identity record found for presented assertion issuer "
            f"'{issuer}'.",
        )
    candidates = [trust for trust in candidates if trust.subject == subject]
    if not candidates:
        raise _refused(
            700213,
            f"No matching federated identity record found for presented assertion subject "
            f"'{subject}'.",
        )
    for trust in candidates:
        if audience == trust.audience or (
            # A managed identity's token names the exchange by its client ID, as v2.0 tokens do.
            trust.audience == TOKEN_EXCHANGE.app_id_uri and audience == TOKEN_EXCHANGE.client_id
        ):
            return trust
    raise _refused(
        700212,
        f"No matching federated identity record found for presented assertion audience "
        f"'{audience}'.",
    )


def _verify(assertion: str, public_key: rsa.RSAPublicKey, algorithms: Collection[str]) -> None:
    try:
        jwt.decode(
            assertion,
            public_key,
            algorithms=list(algorithms),
            leeway=_LEEWAY,
            options={"require": ["exp", "iss", "sub", "aud"], "verify_aud": False},
        )
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        raise _refused(700024, "Client assertion is not within its valid time range.") from None
    except jwt.MissingRequiredClaimError as missing:
        raise _refused(50027, f"JWT token is invalid or malformed: no '{missing.claim}'.") from None
    except InvalidTokenError:
        raise _refused(700027, "Client assertion contains an invalid signature.") from None
