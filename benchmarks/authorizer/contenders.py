"""Who is measured, in the order of the tables."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

OUR_BUNDLE: Final = "bundle"
OTHER_BUNDLE: Final = "other_bundle"
"""The folders, in the run's own, of the bundles that Lambda gets from the two checkouts."""


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
    bundle: str | None = None
    """What it runs from, if that is a Lambda bundle of ours."""


class Function(NamedTuple):
    """One Lambda function, which runs under its platform's own runtime client."""

    handler: str
    """As Lambda's setting of that name has it."""
    title: str
    language: Language
    bundle: str | None = None
    """What it runs from, if that is a Lambda bundle of ours."""


def alternate[T](turns: Sequence[T], number: int) -> Sequence[T]:
    """Return the turns of a round: every second round goes backwards, so that no place counts."""
    return turns[::-1] if number % 2 else turns


OURS: Final = Contender("ours", "ours, contract included", Language.PYTHON, bundle=OUR_BUNDLE)
OUR_HANDLER: Final = Contender("ours_handler", "ours", Language.PYTHON, bundle=OUR_BUNDLE)
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

OUR_FUNCTION: Final = Function(
    "aws_authorizer.handler.handler", "ours", Language.PYTHON, OUR_BUNDLE
)
AWS_JWT_VERIFY_FUNCTION: Final = Function("aws_jwt_verify.handler", "aws-jwt-verify", Language.NODE)
BARE_FUNCTIONS: Final[Mapping[Language, Function]] = {
    Language.PYTHON: Function("bare.handler", "a bare handler", Language.PYTHON),
    Language.NODE: Function("bare.handler", "a bare handler", Language.NODE),
}
"""What a runtime client takes for itself."""
FUNCTIONS: Final = (
    BARE_FUNCTIONS[Language.PYTHON],
    OUR_FUNCTION,
    BARE_FUNCTIONS[Language.NODE],
    AWS_JWT_VERIFY_FUNCTION,
)
RUNTIME_CLIENTS: Final[Mapping[Language, str]] = {
    Language.PYTHON: "awslambdaric",
    Language.NODE: "aws-lambda-ric",
}
"""The packages in which AWS publishes them."""
