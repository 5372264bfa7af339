"""What a local stack needs before its first part is started: all that is missing, said at once."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import combinations
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


class StackNotReadyError(Exception):
    """Something that the stack needs is not there; nothing was started, nothing deleted."""

    code = "stack_not_ready"

    def __init__(self, problems: list[Problem]) -> None:
        """Take every problem that was found."""
        super().__init__(" ".join(problem.sentence for problem in problems))
        self.problems = problems


@contextmanager
def claim_ready_folder(options: StackOptions) -> Iterator[StackFolder]:
    """Keep the stack's folder until the block ends, if nothing that the stack needs is missing.

    Raises:
        StackNotReadyError: something is; it holds every problem, the folder's among them.

    """
    problems = find_problems(options)
    with ExitStack() as claim:
        try:
            folder = claim.enter_context(claim_folder(options.folder, options.checkout))
        except FolderError as error:
            raise StackNotReadyError([*problems, Problem(error.code, str(error))]) from error
        if problems:
            raise StackNotReadyError(problems)
        yield folder


def find_problems(options: StackOptions) -> list[Problem]:
    """Return what keeps a stack with these options from starting; its folder is not checked."""
    return [*_port_problems(options), *_schedule_problems(options), *_program_problems(options)]


def check_schedule(expression: str) -> None:
    """Raise ValueError unless it is a schedule that fires; the message says what is wrong."""
    Ncrontab.parse(expression).next_after(datetime(2000, 1, 1, tzinfo=UTC))


def _port_problems(options: StackOptions) -> Iterator[Problem]:
    ports = (
        ("--functions-port", "the Function App", options.functions_port),
        ("--aws-port", "AWS", options.aws_port),
        ("--entra-port", "Entra ID", options.entra_port),
    )
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


def _program_problems(options: StackOptions) -> Iterator[Problem]:
    tools = options.checkout / ".tools"
    checks: list[Callable[[], object]] = [
        lambda: find_uv(options.checkout),
        lambda: MinistackPrograms.under(tools),
    ]
    if options.needs_azurite:
        checks.append(lambda: AzuritePrograms.under(tools))
    for check in checks:
        try:
            check()
        except (AzuriteError, BundleError, MinistackError) as error:
            yield Problem(error.code, f"{error}.")
    python = function_app_python(options.checkout)
    if not python.exists():
        yield Problem(FunctionsHostError.code, f"{python} is missing; run: make install.")
    if options.functions_host == "core-tools" and shutil.which(FUNC) is None:
        yield Problem(
            FunctionsHostError.code,
            f"--functions-host core-tools needs Azure Functions Core Tools, and no `{FUNC}` is on"
            " the PATH: install them, or choose --functions-host emulated.",
        )
