"""The seven calls that must be refused, each with exactly one thing wrong, and why it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bridge_cli.authorizer_log import AuthorizerLog
from bridge_cli.local_client import LocalClient
from emulator.stack import LocalStack
from shared.claims import AUDIENCE, EXPIRES_AT, ISSUED_AT, ISSUER, NOT_BEFORE
from shared.formats.base64url import decode_base64url, encode_base64url

_HOURS_AGO: Final = 2 * 3600
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_PATH: Final = "/v1/records?limit=1"
GATEWAY: Final = "gateway"
"""In place of a reason code: the gateway refused by itself, and the authorizer was not asked."""
NOT_READABLE: Final = "not_readable"
"""In place of a reason code: the log does not show whether the authorizer was asked."""


@dataclass(frozen=True, slots=True)
class RefusalCase:
    """One way to be refused."""

    name: str
    lie: str
    """What is wrong with the call, for a person."""
    expected_status: int
    expected_reason: str
    """The reason code that the authorizer must log, or GATEWAY."""
    token: Callable[[LocalStack, LocalClient], Awaitable[str | None]]
    """Makes the token; None sends none."""


async def _no_token(_stack: LocalStack, _client: LocalClient) -> None:
    return None


def _bent(
    bend: Callable[[LocalStack, dict[str, object]], dict[str, object]],
) -> Callable[[LocalStack, LocalClient], Awaitable[str]]:
    """Return a token with one claim changed, signed with the tenant's own key."""

    async def token(stack: LocalStack, _client: LocalClient) -> str:
        issuer = stack.entra.issuer
        claims = issuer.claims_for(stack.tenant.service_principal)
        return issuer.sign(claims | bend(stack, claims))

    return token


def _hours_ago(_stack: LocalStack, claims: dict[str, object]) -> dict[str, object]:
    """Return the token as it was issued two hours ago; it was valid for one hour."""
    times = (ISSUED_AT, NOT_BEFORE, EXPIRES_AT)
    return {name: int(str(claims[name])) - _HOURS_AGO for name in times}


def _hours_ahead(_stack: LocalStack, claims: dict[str, object]) -> dict[str, object]:
    """Return the token as it will be issued in two hours."""
    return {name: int(str(claims[name])) + _HOURS_AGO for name in (NOT_BEFORE, EXPIRES_AT)}


async def _bad_signature(stack: LocalStack, client: LocalClient) -> str:
    """Return a good token with one bit of its signature flipped."""
    signing_input, _, signature = (
        await client.token_for(stack.tenant.service_principal)
    ).rpartition(".")
    raw = bytearray(decode_base64url(signature.encode()))
    raw[len(raw) // 2] ^= 1
    return f"{signing_input}.{encode_base64url(bytes(raw))}"


async def _missing_role(stack: LocalStack, client: LocalClient) -> str:
    return await client.token_for(stack.tenant.without_role)


async def _unknown_client(stack: LocalStack, client: LocalClient) -> str:
    return await client.token_for(stack.tenant.unknown_client)


PROBE: Final = RefusalCase(
    "probe", "valid in two hours only", _UNAUTHORIZED, "not_yet_valid", _bent(_hours_ahead)
)
"""A call that the authorizer is sure to be asked about, for a reason that no case has.

Once its decision is in the log, so is everything that was decided before.
"""

REFUSAL_CASES: Final = (
    RefusalCase("no_token", "no Authorization header", _UNAUTHORIZED, GATEWAY, _no_token),
    RefusalCase("expired", "expired an hour ago", _UNAUTHORIZED, "expired", _bent(_hours_ago)),
    RefusalCase(
        "wrong_audience",
        "issued for another API",
        _UNAUTHORIZED,
        "wrong_audience",
        _bent(lambda _stack, _claims: {AUDIENCE: "0ddba110-0000-4000-8000-000000000001"}),
    ),
    RefusalCase(
        "wrong_issuer",
        "names another tenant as issuer",
        _UNAUTHORIZED,
        "wrong_issuer",
        _bent(
            lambda stack, claims: {
                ISSUER: str(claims[ISSUER]).replace(
                    stack.tenant.directory.tenant_id, "0ddba110-0000-4000-8000-000000000002"
                )
            }
        ),
    ),
    RefusalCase(
        "bad_signature",
        "one bit of the signature flipped",
        _UNAUTHORIZED,
        "bad_signature",
        _bad_signature,
    ),
    RefusalCase("missing_role", "no app role assigned", _FORBIDDEN, "missing_role", _missing_role),
    RefusalCase(
        "unknown_client",
        "application not on the list",
        _FORBIDDEN,
        "unknown_client",
        _unknown_client,
    ),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response to one bad call."""

    case: RefusalCase
    status: int
    reason: str
    """The reason code in the authorizer's log, or GATEWAY, or NOT_READABLE."""

    @property
    def problems(self) -> list[str]:
        """Everything that is not as it must be, a sentence each."""
        problems = []
        name = self.case.name
        if self.status != self.case.expected_status:
            problems.append(
                f"{name} was answered with {self.status} instead of {self.case.expected_status}"
            )
        if self.reason != self.case.expected_reason:
            problems.append(
                f"{name} has the reason {self.reason} instead of {self.case.expected_reason}"
            )
        return problems


async def try_to_get_in(
    case: RefusalCase, stack: LocalStack, client: LocalClient, log: AuthorizerLog
) -> Refusal:
    """Make the bad call, and return its response and why it was refused.

    The probe after it makes the log's silence a proof that the authorizer was not asked.
    """
    log.skip_to_end()
    token = await case.token(stack, client)
    response = await client.call_api("GET", _PATH, token=token)
    await client.call_api("GET", _PATH, token=await PROBE.token(stack, client))
    reasons = await log.reasons_before(PROBE.expected_reason)
    reason = NOT_READABLE if reasons is None else ", ".join(reasons) or GATEWAY
    return Refusal(case, response.status_code, reason)
