"""Programs that we run: no shell, no waiting for an answer, a deadline, each line as it comes."""

import os
import sys
import time
from pathlib import Path

import pytest

from deployment.errors import BusyError, NotSignedIn, ProgramError, RightsMissing
from deployment.lines.line import Line
from deployment.programs import programs as module
from deployment.programs.programs import Completed, Programs
from deployment.programs.refusals import is_not_found, refusal
from tests.support.processes import becomes_true, is_alive


def python(code: str, *arguments: str) -> Line:
    """Return a line that runs the code."""
    return Line((sys.executable, "-c", code, *arguments))


def test_when_a_program_ends_then_what_it_left_is_returned(tmp_path: Path) -> None:
    """Its exit code, and both outputs apart."""
    line = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")

    done = Programs(tmp_path).run(line, timeout=30)

    assert Completed(3, "out\n", "err\n") == done


def test_when_a_program_is_named_by_its_path_then_it_is_the_checkouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the command was called from."""
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    (checkout / "bin").mkdir(parents=True)
    elsewhere.mkdir()
    (checkout / "bin" / "hello").write_text("#!/bin/sh\necho hello\n", encoding="utf-8")
    (checkout / "bin" / "hello").chmod(0o755)
    monkeypatch.chdir(elsewhere)

    assert "hello\n" == Programs(checkout).run(Line(("bin/hello",)), timeout=30).stdout


def test_when_a_program_speaks_then_each_line_is_told(tmp_path: Path) -> None:
    """Of standard output only where it is no answer for us."""
    line = python("import sys; print('out'); print('err', file=sys.stderr)")
    told: list[str] = []
    errors: list[str] = []
    Programs(tmp_path).run(line, timeout=30, report=told.append)
    Programs(tmp_path).run(line, timeout=30, report=errors.append, tells_output=False)

    assert ["err", "out"] == sorted(told)
    assert ["err"] == errors


def test_when_an_argument_looks_like_shell_then_it_is_only_text(tmp_path: Path) -> None:
    """No shell reads it."""
    text = "$(touch made) ; touch made"

    done = Programs(tmp_path).run(python("import sys; print(sys.argv[1])", text), timeout=30)

    assert f"{text}\n" == done.stdout
    assert not (tmp_path / "made").exists()


def test_when_a_program_asks_then_it_gets_no_answer(tmp_path: Path) -> None:
    """So it cannot wait for one for ever."""
    done = Programs(tmp_path).run(python("input('password? ')"), timeout=30)

    assert "EOFError" in done.stderr


def test_when_a_program_takes_too_long_then_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that does not want to end."""
    monkeypatch.setattr(module, "_KILL_AFTER_SECONDS", 0.2)
    code = (
        "import os,signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "open('pid','w').write(str(os.getpid())); time.sleep(60)"
    )
    started = time.perf_counter()

    with pytest.raises(ProgramError, match="took more than 1 seconds") as raised:
        Programs(tmp_path).run(python(code), timeout=1.0)

    assert "program_timeout" == raised.value.code
    assert time.perf_counter() - started < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_when_a_program_started_another_then_both_are_ended_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `az` does, a script: what it started would hold our end of its output for as long."""
    monkeypatch.setattr(module, "_KILL_AFTER_SECONDS", 0.2)
    started = time.perf_counter()

    with pytest.raises(ProgramError, match="took more than 1 seconds"):
        Programs(tmp_path).run(Line(("sh", "-c", "sleep 30 & echo $! > pid; wait")), timeout=1.0)

    assert time.perf_counter() - started < 15
    assert becomes_true(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_when_a_program_leaves_another_that_holds_its_output_then_we_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is there, and nobody waits for the rest."""
    monkeypatch.setattr(module, "_KILL_AFTER_SECONDS", 0.2)
    started = time.perf_counter()

    done = Programs(tmp_path).run(Line(("sh", "-c", "sleep 30 & echo answer")), timeout=20)

    assert Completed(0, "answer\n", "") == done
    assert time.perf_counter() - started < 15


def test_when_a_program_asks_at_the_terminal_then_it_has_none(tmp_path: Path) -> None:
    """A password prompt does not read standard input; it would wait for ever."""
    code = "import os; print(os.getsid(0) == os.getpid())"

    done = Programs(tmp_path).run(python(code), timeout=30)

    assert "True\n" == done.stdout


def test_when_a_line_never_ends_then_it_is_told_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all of it would be kept in memory."""
    monkeypatch.setattr(module, "_LONGEST_LINE", 4)
    told: list[str] = []

    Programs(tmp_path).run(python("print('a' * 10)"), timeout=30, report=told.append)

    assert ["aaaa", "aaaa", "aa"] == told


def test_when_a_program_says_more_than_anybody_reads_then_the_rest_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of a long deployment stays bounded."""
    monkeypatch.setattr(module, "_MOST_KEPT_CHARACTERS", 10)

    done = Programs(tmp_path).run(python("print('a' * 8); print('b' * 8); print('c')"), timeout=30)

    assert f"{'a' * 8}\nb" == done.stdout


def test_when_variables_are_given_then_the_program_has_them_beside_its_own(tmp_path: Path) -> None:
    """The environment of this process is there too."""
    code = "import os; print(os.environ['GIVEN'], 'PATH' in os.environ)"
    line = Line((sys.executable, "-c", code), variables={"GIVEN": "x"})

    assert "x True\n" == Programs(tmp_path).run(line, timeout=30).stdout


def test_when_a_program_is_missing_then_its_name_is_told(tmp_path: Path) -> None:
    """With what it is, where we know it."""
    with pytest.raises(NotSignedIn, match="`no-such` is not on the PATH; install no-such"):
        Programs(tmp_path).run(Line(("no-such",)), timeout=1)


def test_when_a_line_is_shown_then_it_can_be_typed() -> None:
    """Quoted where a shell would read more into it; placeholders stay readable."""
    line = Line(("az", "x y", "<value>"), variables={"A": "b c"})

    assert "A='b c' az 'x y' <value>" == str(line)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("An error occurred (AccessDenied) when calling", RightsMissing),
        ("User: x is not authorized to perform: cloudformation:CreateChangeSet", RightsMissing),
        ("Stack is in UPDATE_IN_PROGRESS state and can not be updated", BusyError),
        ("Error: Unable to locate credentials", NotSignedIn),
        ("Error: something else", ProgramError),
        ("", ProgramError),
    ],
)
def test_when_a_program_refuses_then_the_kind_is_told(said: str, kind: type[Exception]) -> None:
    """By what AWS and Azure say; anything else is a failure."""
    error = refusal(Completed(1, "", said), "deploying", cloud="aws")

    assert kind is type(error)
    assert error.code.startswith("aws_")


def test_when_a_program_says_very_much_then_the_message_stays_short() -> None:
    """Its errors are shown, and the rest is left to its own log."""
    said = "\n".join(["noise"] * 100 + ["Error: it"] + ["Error: again" * 200])

    message = str(refusal(Completed(1, "", said), "deploying", cloud="aws"))

    assert "noise" not in message
    assert len(message) < 700


def test_when_a_thing_is_not_there_then_only_a_refusal_says_so() -> None:
    """A program that ended well says nothing of the kind."""
    assert is_not_found(Completed(3, "", "(NotFound) it"), ["NotFound"])
    assert not is_not_found(Completed(0, "", "(NotFound) it"), ["NotFound"])
