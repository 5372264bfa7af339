"""The key set that travels in the deployment bundle, so that a cold start needs no network.

    ENTRA_TENANT_ID=... python -m aws_authorizer.bundled_key_set key_set.json

writes it when the bundle is built. It is a JWK Set with one member more, `retrieved_at`, because a
key set of unknown age must not be trusted.
"""

import json
import sys
from typing import NamedTuple

from aws_authorizer.key_set_fetch import FetchedKeySet, FetchFailed, fetch_key_set
from aws_authorizer.settings import load_key_set_url
from aws_authorizer.signing_key import KEY_SET_BOUNDS, KeySet, KeySetMalformed, parse_key_set
from aws_authorizer.strict_json import parse_json_object
from shared.clock import Clock, SystemClock
from shared.settings_reader import SettingsError

_DEADLINE_SECONDS = 10.0
_WHITESPACE = b" \t\r\n"


class BundledKeySet(NamedTuple):
    """Keys, and when the issuer answered with them."""

    key_set: KeySet
    retrieved_at: float
    """In seconds since 1970 UTC."""


def build_bundled_key_set(answer: FetchedKeySet, clock: Clock) -> bytes:
    """Return the file's content for a key set that has just been fetched.

    Raises:
        KeySetMalformed: the answer holds no key that could be used.

    """
    parse_key_set(answer.body)
    members = parse_json_object(answer.body.strip(_WHITESPACE), KEY_SET_BOUNDS)
    return json.dumps(members | {"retrieved_at": int(clock.now())}).encode()


def parse_bundled_key_set(encoded: bytes) -> BundledKeySet:
    """Return the file's content, read back.

    Raises:
        KeySetMalformed: it is no key set, or does not say when it was retrieved.

    """
    key_set = parse_key_set(encoded)
    members = parse_json_object(encoded.strip(_WHITESPACE), KEY_SET_BOUNDS)
    retrieved_at = members.get("retrieved_at")
    if not isinstance(retrieved_at, int) or isinstance(retrieved_at, bool):
        raise KeySetMalformed("not_dated")
    return BundledKeySet(key_set, float(retrieved_at))


def load_bundled_key_set(path: str) -> BundledKeySet:
    """Return the key set in the file.

    Raises:
        OSError: the file cannot be read.
        KeySetMalformed: it holds something else.

    """
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not imported at cold start
        return parse_bundled_key_set(file.read())


def main(arguments: list[str]) -> int:
    """Write the file that the first argument names; the exit status is 0 if that worked."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m aws_authorizer.bundled_key_set <file>\n")
        return 2
    try:
        answer = fetch_key_set(load_key_set_url(), _DEADLINE_SECONDS)
        content = build_bundled_key_set(answer, SystemClock())
    except (SettingsError, FetchFailed, KeySetMalformed) as problem:
        sys.stderr.write(f"no key set: {problem}\n")
        return 1
    with open(arguments[0], "wb") as file:  # noqa: PTH123 - see above
        file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
