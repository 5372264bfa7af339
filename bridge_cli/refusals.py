"""The seven calls that must be refused, each with exactly one thing wrong."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bridge_cli.local_client import LocalClient
from emulator.stack import LocalStack
from shared.claims import AUDIENCE, EXPIRES_AT, ISSUED_AT, ISSUER, NOT_BEFORE

_HOURS_AGO: Final = 2 * 3600
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class RefusalCase:
    """One way to be refused."""

    name: str
    lie: str
    """What is wrong with the call, for a person."""
    expected_status: int
    token: Callable[[LocalStack, LocalClient], Awaitable[str | None]]
    """Makes the token; None sends none."""


async def _no_token(_stack: LocalStack, _client: LocalClient) -> None:
    return None


def _bent(
    bend: Callable[[LocalStack, dict[str, object]], dict[str, object]],
) -> Callable[[LocalStack, LocalClient], Awaitable[str]]:
    """A token signed with the tenant's own key, over valid claims with one of them bent."""

    async def token(stack: LocalStack, _client: LocalClient) -> str:
        issuer = stack.entra.issuer
        claims = issuer.claims_for(stack.tenant.service_principal)
        return issuer.sign(claims | bend(stack, claims))

    return token


def _hours_ago(_stack: LocalStack, claims: dict[str, object]) -> dict[str, object]:
    """The same token as it was issued two hours ago; it was good for one."""
    times = (ISSUED_AT, NOT_BEFORE, EXPIRES_AT)
    return {name: int(str(claims[name])) - _HOURS_AGO for name in times}


async def _bad_signature(stack: LocalStack, client: LocalClient) -> str:
    """A good token with one bit of its signature flipped."""
    signing_input, _, signature = (
        await client.token_for(stack.tenant.service_principal)
    ).rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[len(raw) // 2] ^= 1
    return f"{signing_input}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


async def _missing_role(stack: LocalStack, client: LocalClient) -> str:
    return await client.token_for(stack.tenant.without_role)


async def _unknown_client(stack: LocalStack, client: LocalClient) -> str:
    return await client.token_for(stack.tenant.unknown_client)


REFUSAL_CASES: Final = (
    RefusalCase("no_token", "no Authorization header", _UNAUTHORIZED, _no_token),
    RefusalCase("expired", "expired an hour ago", _UNAUTHORIZED, _bent(_hours_ago)),
    RefusalCase(
        "wrong_audience",
        "issued for another API",
        _UNAUTHORIZED,
        _bent(lambda _stack, _claims: {AUDIENCE: "0ddba110-0000-4000-8000-000000000001"}),
    ),
    RefusalCase(
        "wrong_issuer",
        "names another tenant as its issuer",
        _UNAUTHORIZED,
        _bent(
            lambda stack, claims: {
                ISSUER: str(claims[ISSUER]).replace(
                    stack.tenant.directory.tenant_id, "0ddba110-0000-4000-8000-000000000002"
                )
            }
        ),
    ),
    RefusalCase("bad_signature", "one bit of the signature flipped", _UNAUTHORIZED, _bad_signature),
    RefusalCase("missing_role", "no app role assigned", _FORBIDDEN, _missing_role),
    RefusalCase("unknown_client", "application not on the list", _FORBIDDEN, _unknown_client),
)
