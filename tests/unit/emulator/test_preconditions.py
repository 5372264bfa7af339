"""What a stack needs before it starts."""

import socket
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_socket import enable_socket

from emulator.preconditions import (
    StackNotReadyError,
    check_schedule,
    claim_ready_folder,
    find_problems,
)
from emulator.stack_folder import StackFolder
from emulator.stack_options import StackOptions

PROGRAMS = (
    ".tools/uv/bin/uv",
    ".tools/ministack/bin/python",
    ".tools/lambda-runtime/bin/python",
    ".tools/function-app/bin/python",
)
AZURITE = ".tools/azurite/node_modules/azurite/dist/src/azurite.js"


@pytest.fixture(autouse=True)
def _ports_are_probed() -> None:
    """Nothing is sent: a port is tried by binding it."""
    enable_socket()


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackOptions:
    """A checkout in which everything is installed but Azurite, on a machine without anything."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for program in PROGRAMS:
        _install(tmp_path / "checkout" / program)
    return StackOptions(
        checkout=tmp_path / "checkout", folder=tmp_path / "stack", functions_host="emulated"
    )


def _install(program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.touch(mode=0o755)


def claim(options: StackOptions) -> AbstractContextManager[StackFolder]:
    """The folder of a stack with these options, if nothing is missing."""
    return claim_ready_folder(options.folder, options.checkout, find_problems(options))


def _codes(options: StackOptions) -> list[str]:
    return [problem.code for problem in find_problems(options)]


def test_when_everything_is_there_then_there_is_no_problem(options: StackOptions) -> None:
    """And the folder is claimed, not yet emptied."""
    with claim(options) as claimed:
        assert not claimed.logs.exists()
    assert [] == _codes(options)


@pytest.mark.parametrize("program", PROGRAMS)
def test_when_a_program_is_missing_then_the_command_that_installs_it_is_named(
    options: StackOptions, program: str
) -> None:
    """Before anything is started."""
    (options.checkout / program).unlink()

    (problem,) = find_problems(options)
    assert "run: make install" in problem.sentence


def test_when_the_table_store_has_no_azurite_then_the_command_is_named(
    options: StackOptions,
) -> None:
    """Not after half a minute, when it would be started."""
    wanting = replace(options, record_store="table")
    before = find_problems(wanting)
    _install(options.checkout / AZURITE)

    assert ["azurite_unavailable"] == [problem.code for problem in before]
    assert "run: make azurite" in before[0].sentence
    assert [] == _codes(wanting)


def test_when_the_sync_fans_out_without_azurite_then_the_command_is_named(
    options: StackOptions,
) -> None:
    """Its messages wait in a storage queue; nothing else of the demo needs one."""
    wanting = replace(options, sync_fan_out=True)

    assert not options.needs_azurite
    assert ["azurite_unavailable"] == _codes(wanting)
    _install(options.checkout / AZURITE)
    assert [] == _codes(wanting)


@pytest.mark.parametrize("host", ["auto", "core-tools"])
def test_when_core_tools_have_no_azurite_then_the_command_is_named(
    options: StackOptions,
    tmp_path: Path,
    host: str,
) -> None:
    """Their timers need Azure Storage."""
    _install(tmp_path / "bin" / "func")

    wanting = replace(options, functions_host=host)  # type: ignore[arg-type]  # one of the literals
    assert ["azurite_unavailable"] == _codes(wanting)


def test_when_core_tools_are_asked_for_and_missing_then_another_host_is_named(
    options: StackOptions,
) -> None:
    """`func` cannot be installed by us."""
    (problem,) = find_problems(replace(options, functions_host="core-tools"))

    assert "--functions-host emulated" in problem.sentence


def test_when_two_parts_get_one_port_then_both_options_are_named(options: StackOptions) -> None:
    """Zero is no port, so it may be asked for twice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    (problem,) = find_problems(replace(options, functions_port=port, entra_port=port))
    assert "ports_equal" == problem.code
    assert all(word in problem.sentence for word in (str(port), "--functions-port", "--entra-port"))


@pytest.mark.parametrize("port", [-1, 65_536, 10**9])
def test_when_a_port_is_none_then_its_option_is_named(options: StackOptions, port: int) -> None:
    """Out of range is a sentence, not an OverflowError."""
    (problem,) = find_problems(replace(options, aws_port=port))

    assert f"Port {port}, for AWS, is no port" in problem.sentence
    assert "--aws-port" in problem.sentence


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * * *",
        "0 * * * * * *",
        "61 * * * * *",
        "0 0 0 30 2 *",
        "every minute",
        "*/0 * * * * *",
    ],
)
def test_when_the_schedule_is_wrong_or_never_fires_then_it_is_said(
    options: StackOptions, schedule: str
) -> None:
    """By the rules of the host's own parser."""
    (problem,) = find_problems(replace(options, schedule=schedule))

    assert "schedule_invalid" == problem.code
    assert "--schedule" in problem.sentence
    with pytest.raises(ValueError, match=r"\w"):
        check_schedule(schedule)


def test_when_several_things_are_wrong_then_all_are_said_and_nothing_is_touched(
    options: StackOptions,
) -> None:
    """A taken port, a foreign folder, a bad schedule and a missing program in one go."""
    options.folder.mkdir()
    (options.folder / "thesis.txt").write_text("years of work")
    (options.checkout / PROGRAMS[1]).unlink()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wrong = replace(options, aws_port=taken.getsockname()[1], schedule="never")
        with pytest.raises(StackNotReadyError) as raised, claim(wrong):
            pass

    assert [
        "port_unusable",
        "schedule_invalid",
        "ministack_unavailable",
        "folder_not_ours",
    ] == [problem.code for problem in raised.value.problems]
    assert ["thesis.txt"] == [entry.name for entry in options.folder.iterdir()]
