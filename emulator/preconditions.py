"""What a local stack needs before its first part is started: all that is missing, said at once."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from bundling.errors import BundleError
from bundling.requirements import find_uv
from emulator.aws.ministack import MinistackError, MinistackPrograms
from emulator.azurite import AzuriteError, AzuritePrograms
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.process import FUNC
from emulator.loopback import why_port_is_unusable
from emulator.stack_folder import FolderError, StackFolder, claim_folder
from emulator.stack_options import StackOptions, function_app_python
from shared.formats.ncrontab import Ncrontab


class Problem(NamedTuple):
    """One thing that keeps a stack from starting."""

    code: str
    sentence: str
    """It says what to change."""


class Port(NamedTuple):
    """A port that a server will listen on."""

    option: str
    """The option that chooses it."""
    user: str
    """Who listens there, for a person."""
    number: int


class StackNotReadyError(Exception):
    """Something that the stack needs is not there; nothing was started, nothing deleted."""

    code = "stack_not_ready"

    def __init__(self, problems: list[Problem]) -> None:
        """Take every problem that was found."""
        super().__init__(" ".join(problem.sentence for problem in problems))
        self.problems = problems


@contextmanager
def claim_ready_folder(
    folder: Path, checkout: Path, problems: Sequence[Problem]
) -> Iterator[StackFolder]:
    """Keep the folder until the block ends, if none of these problems was found.

    Raises:
        StackNotReadyError: one was; it holds every problem, the folder's among them.

    """
    with ExitStack() as claim:
        try:
            claimed = claim.enter_context(claim_folder(folder, checkout))
        except FolderError as error:
            raise StackNotReadyError([*problems, Problem(error.code, str(error))]) from error
        if problems:
            raise StackNotReadyError([*problems])
        yield claimed


def find_problems(options: StackOptions) -> list[Problem]:
    """Return what keeps a stack with these options from starting; its folder is not checked."""
    ports = [
        Port("--functions-port", "the Function App", options.functions_port),
        Port("--aws-port", "AWS", options.aws_port),
        Port("--entra-port", "Entra ID", options.entra_port),
    ]
    return [
        *find_port_problems(ports),
        *_schedule_problems(options),
        *find_program_problems(options.checkout, needs_azurite=options.needs_azurite),
        *_core_tools_problems(options),
    ]


def check_schedule(expression: str) -> None:
    """Raise ValueError unless it is a schedule that fires; the message says what is wrong."""
    Ncrontab.parse(expression).next_after(datetime(2000, 1, 1, tzinfo=UTC))


def find_port_problems(ports: Sequence[Port]) -> Iterator[Problem]:
    """Yield what keeps servers from these ports."""
    for option, user, port in ports:
        if reason := why_port_is_unusable(port):
            yield Problem(
                "port_unusable",
                f"Port {port}, for {user}, {reason}: free it, or choose another {option}"
                " (0 takes any free one).",
            )
    for (option, user, port), (other_option, other_user, other_port) in combinations(ports, 2):
        if port == other_port != 0:
            yield Problem(
                "ports_equal",
                f"Port {port} is asked for twice, for {user} and for {other_user}:"
                f" choose another {option} or {other_option} (0 takes any free one).",
            )


def _schedule_problems(options: StackOptions) -> Iterator[Problem]:
    try:
        check_schedule(options.schedule)
    except ValueError as error:
        yield Problem("schedule_invalid", f"The --schedule is wrong: {error}.")


def find_program_problems(checkout: Path, *, needs_azurite: bool) -> Iterator[Problem]:
    """Yield which of the programs that the parts are made of are not installed."""
    tools = checkout / ".tools"
    checks: list[Callable[[], object]] = [
        lambda: find_uv(checkout),
        lambda: MinistackPrograms.under(tools),
    ]
    if needs_azurite:
        checks.append(lambda: AzuritePrograms.under(tools))
    for check in checks:
        try:
            check()
        except (AzuriteError, BundleError, MinistackError) as error:
            yield Problem(error.code, f"{error}.")
    python = function_app_python(checkout)
    if not python.exists():
        yield Problem(FunctionsHostError.code, f"{python} is missing; run: make install.")


def _core_tools_problems(options: StackOptions) -> Iterator[Problem]:
    if options.functions_host == "core-tools" and shutil.which(FUNC) is None:
        yield Problem(
            FunctionsHostError.code,
            f"--functions-host core-tools needs Azure Functions Core Tools, and no `{FUNC}` is on"
            " the PATH: install them, or choose --functions-host emulated.",
        )
