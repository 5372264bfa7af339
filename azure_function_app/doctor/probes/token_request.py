"""Asks for a token as the app does, with the app's own credential, and keeps what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt
from azure.core.exceptions import AzureError

from azure_function_app.bootstrap import token_leg
from azure_function_app.deadline import Deadline
from azure_function_app.doctor.probes.background import in_background
from azure_function_app.doctor.probes.obstacle import Obstacle, chain_of, obstacle_of
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.credentials import MISREADINGS, build_credential
from azure_function_app.identity.entra_errors import aadsts_code
from azure_function_app.identity.token_diagnosis import unverified_claims
from azure_function_app.settings import Settings
from shared.clock import Clock

_FILE_ERRORS: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


@dataclass(frozen=True, slots=True)
class TokenObtained:
    """A token came. What it says is not verified."""

    token: AccessToken
    seconds: float
    claims: Mapping[str, object] | None
    """None if it is no JWT."""
    header: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TokenFailed:
    """No token came."""

    seconds: float
    aadsts: str | None = None
    """The digits of Entra ID's code."""
    obstacle: Obstacle | None = None
    """What stood in the way of an answer."""
    detail: str = ""
    """What the machine said; quotes nobody."""
    proxy_status: int | None = None
    is_file: bool = False
    """Whether a file of the credential could not be read or used."""
    status: int | None = None
    """The HTTP status of the refusal, if that is known."""


type TokenOutcome = TokenObtained | TokenFailed


class RequestToken(Protocol):
    """Obtains a token, blocking, by the deadline."""

    def __call__(self, settings: Settings, deadline: Deadline) -> AccessToken:
        """Return the token, or raise what the Azure SDK raises."""


def request_token(settings: Settings, deadline: Deadline) -> AccessToken:
    """Return a token for the API from a new credential of the settings' kind."""
    source = settings.token_source
    credential = build_credential(
        source, **token_leg(settings), deadline=deadline, clock=deadline.clock
    )
    with credential:
        token = credential.get_token(source.api.scope)
    if not isinstance(token.token, str):
        raise TypeError("the token is no string")
    return AccessToken(token.token, float(token.expires_on))


async def try_token(
    settings: Settings, deadline: Deadline, clock: Clock, request: RequestToken = request_token
) -> TokenOutcome:
    """Return the token, or why there is none. Never raises for what the far end does."""
    begun = clock.monotonic()
    try:
        token = await in_background(lambda: request(settings, deadline))
    except (AzureError, ValueError, OSError, *MISREADINGS) as error:
        return _failure(error, clock.monotonic() - begun)
    return TokenObtained(
        token,
        clock.monotonic() - begun,
        unverified_claims(token.value),
        _unverified_header(token.value),
    )


def _unverified_header(token: str) -> Mapping[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError):
        return {}


def _failure(error: Exception, seconds: float) -> TokenFailed:
    chain = chain_of(error)
    texts = [str(error), *(str(each) for each in chain)]
    aadsts = next(filter(None, map(aadsts_code, texts)), None)
    if aadsts is not None:
        return TokenFailed(seconds, aadsts=aadsts)
    if any(isinstance(each, _FILE_ERRORS) for each in chain) or type(error) is ValueError:
        return TokenFailed(seconds, is_file=True)
    if any(isinstance(each, OSError) for each in chain):
        obstacle, detail, status = obstacle_of(error)
        return TokenFailed(seconds, obstacle=obstacle, detail=detail, proxy_status=status)
    return TokenFailed(seconds, status=getattr(error, "status_code", None))
