"""The keys that a token's signature is checked with: fetched as the Lambda does, or from a file."""

from functools import partial
from pathlib import Path
from typing import Final

from aws_authorizer.bootstrap import list_tenant_ids
from aws_authorizer.key_set import KeySource, RemoteKeySet, StaticKeySet
from aws_authorizer.key_set_fetch import MAX_BODY_BYTES, fetch_key_set
from aws_authorizer.settings import Settings
from aws_authorizer.signing_key import KeySetMalformed, parse_key_set
from bridge_cli.explaining.errors import ExplainError
from shared.clock import Clock

_FETCH_SECONDS: Final = 5.0
"""A laptop is further away from Entra ID than a Lambda is."""


def build_remote_keys(settings: Settings, clock: Clock) -> dict[str, KeySource]:
    """Return where the keys of each tenant come from. Nothing is fetched before a key is needed."""
    return {
        tenant_id: RemoteKeySet(
            partial(
                fetch_key_set,
                settings.api.cloud.key_set_url(tenant_id),
                max(settings.key_set_fetch_seconds, _FETCH_SECONDS),
            ),
            clock,
            settings.key_set_policy,
        )
        for tenant_id in list_tenant_ids(settings)
    }


def load_keys(settings: Settings, file: Path) -> dict[str, KeySource]:
    """Return the keys in a file, for every tenant: a JSON Web Key Set (RFC 7517).

    Raises:
        ExplainError: it cannot be read, or holds no key that could be used.

    """
    try:
        with file.open("rb") as opened:
            encoded = opened.read(MAX_BODY_BYTES)
        # Of a longer file a part is read, which is no key set.
        keys = StaticKeySet(parse_key_set(encoded).keys)
    except (OSError, ValueError) as error:
        raise ExplainError(
            "key_set_unreadable", f"{file} cannot be read ({type(error).__name__})."
        ) from None
    except KeySetMalformed as malformed:
        raise ExplainError(
            "key_set_malformed", f"{file} holds no key set that could be used ({malformed})."
        ) from None
    return dict.fromkeys(list_tenant_ids(settings), keys)
