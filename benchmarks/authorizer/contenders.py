"""Who is measured, in the order of the tables."""

from enum import Enum
from typing import Final, NamedTuple


class Language(Enum):
    """What a contender is written in, and so how its process starts."""

    PYTHON = "Python"
    NODE = "Node.js"


class Contender(NamedTuple):
    """One program that decides on tokens."""

    program: str
    """The function in `python/contenders.py`, or the file in `node/contenders/`."""
    title: str
    language: Language
    package: str | None = None
    """Whose version the results name."""


OURS: Final = Contender("ours", "ours, contract included", Language.PYTHON)
OUR_HANDLER: Final = Contender("ours_handler", "ours", Language.PYTHON)
AWS_JWT_VERIFY: Final = Contender(
    "aws_jwt_verify", "aws-jwt-verify verifySync", Language.NODE, "aws-jwt-verify"
)
FAST_JWT_CACHE: Final = Contender(
    "fast_jwt_cache", "fast-jwt with its cache", Language.NODE, "fast-jwt"
)
_FAST_JWT: Final = Contender("fast_jwt", "fast-jwt, no cache, one key", Language.NODE, "fast-jwt")
_JSONWEBTOKEN: Final = Contender(
    "jsonwebtoken", "jsonwebtoken, prepared key", Language.NODE, "jsonwebtoken"
)
_JWKS_RSA: Final = Contender("jwks_rsa", "jsonwebtoken + jwks-rsa", Language.NODE, "jwks-rsa")
_JOSE: Final = Contender("jose", "jose", Language.NODE, "jose")
_PYJWT: Final = Contender("pyjwt", "PyJWT, prepared key", Language.PYTHON, "pyjwt")
_PYJWKCLIENT: Final = Contender("pyjwkclient", "PyJWKClient + PyJWT", Language.PYTHON, "pyjwt")
_JOSERFC: Final = Contender("joserfc", "joserfc", Language.PYTHON, "joserfc")
_POWERTOOLS: Final = Contender(
    "powertools", "Powertools auth_alpha", Language.PYTHON, "aws-lambda-powertools"
)
_POWERTOOLS_HANDLER: Final = _POWERTOOLS._replace(program="powertools_handler")
_JWKS_RSA_HANDLER: Final = _JWKS_RSA._replace(program="jwks_rsa_handler")
_CRYPTOGRAPHY: Final = Contender(
    "cryptography_alone", "floor: cryptography, RSA alone", Language.PYTHON, "cryptography"
)
_NODE_CRYPTO: Final = Contender("crypto_alone", "floor: node crypto, RSA alone", Language.NODE)

BARE_PYTHON: Final = Contender("interpreter", "bare Python", Language.PYTHON)
BARE_NODE: Final = Contender("interpreter", "bare Node.js", Language.NODE)

_PEERS: Final = (
    AWS_JWT_VERIFY,
    FAST_JWT_CACHE,
    _FAST_JWT,
    _JSONWEBTOKEN,
    _JWKS_RSA,
    _JOSE,
    _PYJWT,
    _PYJWKCLIENT,
    _JOSERFC,
    _POWERTOOLS,
)
FLOORS: Final = (_CRYPTOGRAPHY, _NODE_CRYPTO)
VERIFIERS: Final = (OURS, *_PEERS)
HANDLERS: Final = (OUR_HANDLER, _POWERTOOLS_HANDLER, _JWKS_RSA_HANDLER)
STARTERS: Final = (
    OUR_HANDLER,
    # Without these two: the one differs from its neighbor in nothing that starts, the other has to
    # fetch its key set.
    *(peer for peer in _PEERS if peer not in {FAST_JWT_CACHE, _PYJWKCLIENT}),
    BARE_PYTHON,
    BARE_NODE,
)
"""Who is measured from the start of the process. Ours answers with a policy there, the peers only
verify."""
