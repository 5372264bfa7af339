"""The stack's own folder: what may be emptied, and who has it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emulator.stack_folder import (
    MARK,
    FolderError,
    FolderInUseError,
    FolderNotOursError,
    claim_folder,
)

CHECKOUT = Path(__file__).parents[3]
HOLDER = """
import sys, time
from pathlib import Path
from emulator.stack_folder import claim_folder
with claim_folder(Path(sys.argv[1]), Path("/nowhere")) as claimed:
    claimed.empty()
    (claimed.path / "records").write_text("live")
    print("claimed", flush=True)
    time.sleep(60)
"""


def _claim(folder: Path, checkout: Path = CHECKOUT) -> None:
    """Have the folder for a moment, as a stack that starts and ends."""
    with claim_folder(folder, checkout, sleep=lambda _seconds: None) as claimed:
        claimed.empty()


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def _hold(folder: Path) -> "subprocess.Popen[str]":
    """Another process that has the folder."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout as output:
        assert "claimed\n" == output.readline()
    return holder


def test_when_the_folder_is_somebody_elses_then_nothing_in_it_is_deleted(tmp_path: Path) -> None:
    """A folder with content that no stack made is refused, and stays as it is."""
    kept = tmp_path / "thesis.txt"
    kept.write_text("years of work")

    with pytest.raises(FolderNotOursError, match=str(tmp_path)):
        _claim(tmp_path)
    assert {"thesis.txt"} == _names(tmp_path)


def test_when_the_folder_is_a_file_then_it_is_refused(tmp_path: Path) -> None:
    """A file of that name is nobody's folder to empty."""
    file = tmp_path / "stack"
    file.write_text("mine")

    with pytest.raises(FolderNotOursError, match="stack is a file"):
        _claim(file)
    assert "mine" == file.read_text()


@pytest.mark.parametrize("kind", ["folder", "symbolic link", "pipe"])
def test_when_the_mark_is_no_file_then_the_folder_is_not_ours(tmp_path: Path, kind: str) -> None:
    """No stack makes such a mark."""
    mark = tmp_path / MARK
    match kind:
        case "folder":
            mark.mkdir()
        case "pipe":
            os.mkfifo(mark)
        case _:
            mark.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FolderNotOursError, match="did not make"):
        _claim(tmp_path)
    assert {MARK} == _names(tmp_path)


@pytest.mark.parametrize("is_there", [True, False])
def test_when_the_folder_is_new_or_empty_then_it_is_taken(
    tmp_path: Path,
    is_there: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Nothing can be lost there."""
    folder = tmp_path / "above" / "stack"
    if is_there:
        folder.mkdir(parents=True)

    _claim(folder)

    assert (folder / "logs").is_dir()


def test_when_the_folder_is_an_earlier_stacks_then_it_starts_empty(tmp_path: Path) -> None:
    """The last run's logs and records are not taken for this one's, and links are not followed."""
    folder, elsewhere = tmp_path / "stack", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("years of work")
    _claim(folder)
    (folder / "logs" / "lambda.log").write_text("old")
    (folder / "linked").symlink_to(elsewhere)
    mark = (folder / MARK).stat().st_ino

    _claim(folder)

    assert {MARK, "logs"} == _names(folder)
    assert [] == list((folder / "logs").iterdir())
    assert {"thesis.txt"} == _names(elsewhere)
    assert mark == (folder / MARK).stat().st_ino


@pytest.mark.parametrize("dear", ["the root", "home", "above home", "the checkout", "a link"])
def test_when_the_folder_holds_what_is_dear_then_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dear: str
) -> None:
    """Even where it is empty or carries a mark."""
    home, checkout = tmp_path / "homes" / "me", tmp_path / "checkout"
    for folder in (home, checkout):
        folder.mkdir(parents=True)
        (folder / MARK).touch()
    (tmp_path / "link").symlink_to(checkout)
    monkeypatch.setenv("HOME", str(home))
    folder = {
        "the root": Path("/"),
        "home": home,
        "above home": home.parent,
        "the checkout": checkout,
        "a link": tmp_path / "link",
    }[dear]

    with pytest.raises(FolderNotOursError, match=r"(is|holds) (the checkout|your home)"):
        _claim(folder, checkout)
    assert {MARK} == _names(checkout)


@pytest.mark.parametrize("by_link", [True, False])
def test_when_a_stack_has_the_folder_then_a_second_one_touches_nothing(
    tmp_path: Path,
    by_link: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """One sentence names the folder and the process; another name of the folder changes nothing."""
    folder = tmp_path / "stack"
    (tmp_path / "link").symlink_to(folder)
    with _hold(folder) as holder:
        with pytest.raises(
            FolderInUseError, match=rf"{folder} belongs to .* process {holder.pid}: stop that one"
        ):
            _claim(tmp_path / "link" if by_link else folder)
        records = (folder / "records").read_text()
        holder.kill()

    assert "live" == records
    assert "folder_in_use" == FolderInUseError.code


def test_when_the_stack_was_killed_then_its_folder_is_taken_over(tmp_path: Path) -> None:
    """The mark stays behind; the lock does not."""
    with _hold(tmp_path / "stack") as holder:
        holder.send_signal(signal.SIGKILL)

    _claim(tmp_path / "stack")

    assert {MARK, "logs"} == _names(tmp_path / "stack")


def test_when_a_killed_stacks_parts_still_end_then_the_next_one_waits(tmp_path: Path) -> None:
    """A part that holds the lock open may still write; its mark names a dead process."""
    folder = tmp_path / "stack"
    waits: list[float] = []
    part = ExitStack()
    claimed = part.enter_context(claim_folder(folder, CHECKOUT))
    claimed.empty()
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    (folder / MARK).write_text(f"{dead.pid}\n")

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            part.close()

    with claim_folder(folder, CHECKOUT, sleep=wait):
        pass

    assert 3 == len(waits)


def test_when_the_parts_never_end_then_the_wait_is_bounded(tmp_path: Path) -> None:
    """Whoever holds the lock without a name is reported after some seconds."""
    waits: list[float] = []
    with claim_folder(tmp_path / "stack", CHECKOUT):
        (tmp_path / "stack" / MARK).write_text("")
        with (
            pytest.raises(FolderInUseError, match="a running stack:"),
            claim_folder(tmp_path / "stack", CHECKOUT, sleep=waits.append),
        ):
            pass

    assert 3 < sum(waits) < 10


def test_when_several_start_at_once_then_one_has_the_folder(tmp_path: Path) -> None:
    """A lock, not a look: no two of them get in, in an empty folder or in a stale one."""
    for _ in range(20):
        won: list[bool] = []
        barrier = threading.Barrier(8, timeout=10)

        def start(barrier: threading.Barrier = barrier, won: list[bool] = won) -> None:
            barrier.wait()
            try:
                with claim_folder(tmp_path / "stack", CHECKOUT, sleep=lambda _seconds: None):
                    won.append(True)
                    barrier.wait()
            except FolderInUseError:
                won.append(False)
                barrier.wait()

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [True] == [is_winner for is_winner in won if is_winner]


def test_when_another_start_marks_the_folder_meanwhile_then_it_is_still_a_stacks_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark that appears between two looks is not taken for somebody's file."""
    folder = tmp_path / "stack"
    folder.mkdir()
    iterdir = Path.iterdir

    def mark_and_list(path: Path) -> Iterator[Path]:
        if path == folder:
            (path / MARK).touch()
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", mark_and_list)

    with claim_folder(folder, CHECKOUT) as claimed:
        assert folder == claimed.path


def test_when_the_folder_lies_in_a_stacks_folder_then_it_is_refused(tmp_path: Path) -> None:
    """The other's next start would delete it; nothing is made in there."""
    _claim(tmp_path / "stack")

    with pytest.raises(FolderNotOursError, match="lies in"):
        _claim(tmp_path / "stack" / "below" / "mine")
    assert {MARK, "logs"} == _names(tmp_path / "stack")


def test_when_a_running_stack_lies_in_the_folder_then_nothing_is_deleted(tmp_path: Path) -> None:
    """A stale mark above a living stack does not delete it."""
    below = tmp_path / "stack" / "below"
    with _hold(below) as holder:
        (tmp_path / "stack" / MARK).touch()
        with pytest.raises(FolderInUseError, match=str(holder.pid)):
            _claim(tmp_path / "stack")
        records = (below / "records").read_text()
        holder.kill()

    assert "live" == records


def test_when_the_mark_is_deleted_under_a_waiting_stack_then_the_new_file_is_locked(
    tmp_path: Path,
) -> None:
    """A lock on a file that no longer has the mark's name would exclude nobody."""
    folder = tmp_path / "stack"
    with claim_folder(folder, CHECKOUT):
        (folder / MARK).unlink()
        with (
            claim_folder(folder, CHECKOUT),
            pytest.raises(FolderInUseError),
            claim_folder(folder, CHECKOUT),
        ):
            pass


def test_when_something_cannot_be_deleted_then_one_sentence_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not left for a part to stumble over."""
    _claim(tmp_path / "stack")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)

    with pytest.raises(FolderError, match=r"cannot be emptied \(Permission denied: .*logs\)"):
        _claim(tmp_path / "stack")


@pytest.mark.parametrize("folder", ["/proc/bridge", "/dev/null/bridge"])
def test_when_the_folder_cannot_be_made_then_one_sentence_says_so(folder: str) -> None:
    """Not even by the administrator."""
    with pytest.raises(FolderError, match=rf"{folder} .*choose another --folder"):
        _claim(Path(folder))
