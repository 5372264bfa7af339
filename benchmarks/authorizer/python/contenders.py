"""The Python contenders: each is handed the key set and says how it decides on a token.

Every one imports nothing but what it needs itself, because the cold start is measured too.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aws_lambda_powertools.utilities.auth_alpha import JWTVerifier

    type Decide = Callable[[Any], Any]


def _read_json(folder: str, name: str) -> "Any":  # noqa: ANN401 - JSON
    import json

    with open(f"{folder}/{name}", "rb") as file:
        return json.load(file)


def _settings(folder: str) -> dict[str, str]:
    return _read_json(folder, "settings.json")  # type: ignore[no-any-return]  # the runner wrote it


def _rest_token_events(folder: str, tokens: list[str]) -> list[dict[str, str]]:
    method_arn = _settings(folder)["method_arn"]
    return [
        {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": method_arn}
        for token in tokens
    ]


def _as_it_is(_folder: str, tokens: list[str]) -> list[str]:
    return tokens


def _is_anything(_answer: object) -> bool:
    return True


def _is_allow(answer: "dict[str, Any]") -> bool:
    return bool(answer["policyDocument"]["Statement"][0]["Effect"] == "Allow")


class Contender:
    """How one contender decides."""

    def __init__(
        self,
        decide: "Decide",
        prepare: "Callable[[str, list[str]], list[Any]]" = _as_it_is,
        is_good: "Callable[[Any], bool]" = _is_anything,
    ) -> None:
        """Take the three."""
        self.decide = decide
        """Takes one prepared token; if that is bad, it raises, or its answer is not good."""
        self.prepare = prepare
        """Turns tokens into what `decide` takes; its time is not counted."""
        self.is_good = is_good


def interpreter(_folder: str) -> Contender:
    """Nothing but the interpreter, which every other one needs too."""
    return Contender(len)


def ours(_folder: str) -> Contender:
    """The verifier, as the handler makes it: with the claim contract and the cache."""
    from aws_authorizer.bootstrap import get_authorizer

    return Contender(get_authorizer().verifier.verify)


def ours_handler(_folder: str) -> Contender:
    """The whole Lambda function: event to policy, with its log line."""
    from aws_authorizer.handler import handler

    return Contender(lambda event: handler(event, None), _rest_token_events, _is_allow)


def cryptography_alone(folder: str) -> Contender:
    """The RSA signature check that all Python contenders rest on, and nothing else."""
    import base64

    import jwt
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    key_id = _settings(folder)["key_id"]
    verify = jwt.PyJWKSet.from_dict(_read_json(folder, "key_set.json"))[key_id].key.verify
    padding, digest = PKCS1v15(), SHA256()

    def prepare(_folder: str, tokens: list[str]) -> list[tuple[bytes, bytes]]:
        parts = [token.rpartition(".") for token in tokens]
        return [(base64.urlsafe_b64decode(sig + "=="), text.encode()) for text, _, sig in parts]

    return Contender(lambda item: verify(item[0], item[1], padding, digest), prepare)


def pyjwt(folder: str) -> Contender:
    """PyJWT's `decode` with a key that was made ready before."""
    import jwt

    settings = _settings(folder)
    key = jwt.PyJWKSet.from_dict(_read_json(folder, "key_set.json"))[settings["key_id"]]
    issuer, audience = settings["issuer"], settings["audience"]

    def decide(token: str) -> object:
        return jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer)

    return Contender(decide)


def pyjwkclient(folder: str) -> Contender:
    """PyJWT as its documentation has it: the key by `kid` from a cached key set."""
    import jwt

    settings = _settings(folder)
    client = jwt.PyJWKClient(settings["key_set_url"], cache_keys=True)
    issuer, audience = settings["issuer"], settings["audience"]

    def decide(token: str) -> object:
        key = client.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer)

    return Contender(decide)


def joserfc(folder: str) -> Contender:
    """What joserfc does with a key set, and its claim checks."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    settings = _settings(folder)
    keys = KeySet.import_key_set({"keys": _read_json(folder, "key_set.json")["keys"]})
    checks = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": settings["issuer"]},
        aud={"essential": True, "value": settings["audience"]},
        exp={"essential": True},
    )

    def decide(token: str) -> object:
        claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
        checks.validate(claims)
        return claims

    return Contender(decide)


def _powertools_verifier(folder: str) -> "JWTVerifier":
    from aws_lambda_powertools.utilities.auth_alpha import JWTVerifier

    settings = _settings(folder)
    return JWTVerifier(
        issuer=settings["issuer"],
        audience=settings["audience"],
        algorithms=["RS256"],
        jwks=_read_json(folder, "key_set.json"),
    )


def powertools(folder: str) -> Contender:
    """Powertools' verifier with a static key set."""
    return Contender(_powertools_verifier(folder).verify)


def powertools_handler(folder: str) -> Contender:
    """Powertools' authorizer: event to policy."""
    verifier = _powertools_verifier(folder)

    def decide(event: dict[str, str]) -> object:
        return verifier.authorize(event, response_format="iam", context_claims=["oid", "azp"])

    return Contender(decide, _rest_token_events, _is_allow)
