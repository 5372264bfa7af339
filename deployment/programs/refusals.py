"""What the clouds' programs say when they refuse, told apart."""

from collections.abc import Sequence
from typing import Final

from deployment.errors import (
    BusyError,
    DeploymentError,
    NotSignedIn,
    ProgramError,
    RightsMissing,
)
from deployment.programs.programs import Completed

_SIGN_IN: Final = (
    "az login",
    "AADSTS",
    "Unable to locate credentials",
    "ExpiredToken",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "Error loading SSO Token",
    "Token has expired",
    "The SSO session",
    "could not be found",  # the config profile (x) could not be found
)
_RIGHTS: Final = (
    "AuthorizationFailed",
    "does not have authorization to perform action",
    "does not have permission to perform action",
    "AccessDenied",
    "is not authorized to perform",
    "Authorization_RequestDenied",
    "Insufficient privileges",
)
_BUSY: Final = (
    "DeploymentActive",
    "_IN_PROGRESS state and can not be updated",
    "OperationInProgressException",
    "AnotherOperationInProgress",
    "Conflict occurred",
    "Another deployment is in progress",
    "ongoing deployment",
)
_MOST_SHOWN: Final = 600


def refusal(completed: Completed, doing: str, *, cloud: str) -> DeploymentError:
    """Return the error that a program's refusal means; `doing` says what it was told to do."""
    said = f"{completed.stderr}\n{completed.stdout}"
    shown = _complaint(completed)
    if any(sign in said for sign in _BUSY):
        return BusyError(
            f"{cloud}_busy",
            f"Somebody else, or an earlier run, is deploying this at the moment ({doing}):"
            " wait until that has ended, and run the same command again.",
        )
    if any(sign in said for sign in _RIGHTS):
        return RightsMissing(
            f"{cloud}_rights_missing", f"This sign-in may not do it ({doing}): {shown}"
        )
    if any(sign in completed.stderr for sign in _SIGN_IN):
        return NotSignedIn(f"{cloud}_sign_in_needed", f"The sign-in is missing or over: {shown}")
    return ProgramError(f"{cloud}_refused", f"It failed ({doing}): {shown}")


def is_not_found(completed: Completed, signs: Sequence[str]) -> bool:
    """Return whether the refusal says that the thing is not there."""
    return completed.exit_code != 0 and any(sign in completed.stderr for sign in signs)


def _complaint(completed: Completed) -> str:
    text = completed.stderr.strip() or completed.stdout.strip() or "it said nothing"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line] or lines
    shown = " ".join(errors)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
