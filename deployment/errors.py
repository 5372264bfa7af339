"""What can go wrong between bridge.toml and a running bridge.

DeploymentError
├── BridgeFileError      bridge.toml is not usable; it holds every problem at once
├── ProgramError         az, sam or uv did not do what it was told
├── SignedInElsewhere    the sign-in is good, but for another tenant, subscription or account
├── BusyError            somebody else is deploying the same thing at this moment
├── NotSignedIn          nobody is signed in to a cloud, or its program is not installed
└── RightsMissing        this sign-in may not do it; somebody else can

The last two are no failures of the rollout: their steps wait for somebody else.
"""

from dataclasses import dataclass


class DeploymentError(Exception):
    """A deployment could not be done; `code` is stable, the message says what to change."""

    def __init__(self, code: str, message: str) -> None:
        """Take the code and one sentence for a person."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of bridge.toml."""

    code: str
    place: str
    """The key with its tables, such as `environments.dev.aws.region`."""
    message: str
    """What to change, as the rest of a sentence that begins with the place."""

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.place}: {self.message} ({self.code})"


class BridgeFileError(DeploymentError):
    """The bridge.toml is not usable; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Take the problems, of which there is at least one."""
        super().__init__("bridge_file_invalid", "; ".join(map(str, problems)))
        self.problems = problems


class ProgramError(DeploymentError):
    """A program that we ran failed, or did not end in time."""


class SignedInElsewhere(DeploymentError):
    """The sign-in is good, but for another tenant, subscription or account."""


class BusyError(DeploymentError):
    """Somebody else, or an earlier run of ours, is deploying the same thing at this moment."""


class NotSignedIn(DeploymentError):
    """Nobody is signed in to a cloud, or the program to sign in with is not installed."""


class RightsMissing(DeploymentError):
    """This sign-in may not do it."""
