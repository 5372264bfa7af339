"""The folder of a local stack: one stack at a time has it, and only a stack's own is ever emptied.

A mark file in it says that a stack made it, and the stack that has the folder holds a lock on the
mark. The kernel gives the lock back when the last process that holds it ends, so a killed stack
leaves none behind.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MARK: Final = ".bridge-stack"
"""The file by which a folder is known to be a stack's own, and which its stack has locked."""
_OPTION: Final = "choose another --folder"
_ENDING_WITHIN_SECONDS: Final = 6.0
"""What the supervisors of a killed stack need to end its parts, and some."""
_POLL_SECONDS: Final = 0.1
_LONGEST_ID: Final = 20


class FolderError(Exception):
    """A stack cannot have the folder; nothing in it was touched."""

    code = "folder_unusable"


class FolderNotOursError(FolderError):
    """The folder holds what no stack has put there."""

    code = "folder_not_ours"


class FolderInUseError(FolderError):
    """A running stack has the folder."""

    code = "folder_in_use"


@dataclass(frozen=True, slots=True)
class StackFolder:
    """A folder that is ours until the claim ends."""

    path: Path
    """Absolute, and no symbolic link on the way."""
    lock: int
    """The locked mark's descriptor: who else keeps it open keeps the lock."""

    @property
    def logs(self) -> Path:
        """The folder of the log files, one for each part."""
        return self.path / "logs"

    def empty(self) -> None:
        """Delete everything but the mark, and make the log folder.

        Raises:
            FolderError: something in it cannot be deleted, or it cannot be written to.

        """
        try:
            for entry in self.path.iterdir():
                if entry.name == MARK:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            self.logs.mkdir()
        except OSError as error:
            raise FolderError(
                f"{self.path} cannot be emptied ({error.strerror}: {error.filename}):"
                f" change its permissions, or {_OPTION}."
            ) from error


@contextmanager
def claim_folder(
    folder: Path, checkout: Path, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[StackFolder]:
    """Keep a folder for one stack until the block ends; it is made if it is missing.

    Nothing in it is deleted before `empty` is called. Where the stack that had the folder has been
    killed, this waits until the last of its parts has ended. A symbolic link is followed first, so
    that two names of one folder are one claim.

    Raises:
        FolderInUseError: another stack has it, or one above or below it; the message names both.
        FolderNotOursError: it has content that no stack made, or is not for a stack at all.
        FolderError: it cannot be made or written to.

    """
    try:
        path = folder.resolve()
        _check_is_ours(path, checkout)
        _check_above(path)
        path.mkdir(parents=True, exist_ok=True)
        lock = _lock(path, sleep)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FolderError(f"{folder} cannot be used ({reason}): {_OPTION}.") from error
    try:
        # After the lock is taken: of two stacks, one within the other, at least one sees the other.
        _check_above(path)
        _check_below(path)
        yield StackFolder(path, lock)
    finally:
        os.close(lock)


def _check_is_ours(path: Path, checkout: Path) -> None:
    """Raise unless the folder is new, empty or marked, and nothing dear lies below it."""
    for dear, name in ((checkout.resolve(), "the checkout"), (Path.home().resolve(), "your home")):
        if dear.is_relative_to(path):
            is_itself = "is" if dear == path else "holds"
            raise FolderNotOursError(f"{path} {is_itself} {name}, no folder to empty: {_OPTION}.")
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise FolderNotOursError(f"{path} is a file, no folder: {_OPTION}.")
    # Content first: what another start puts there meanwhile is its mark, which is then seen below.
    has_content = any(path.iterdir())
    is_marked = os.path.lexists(path / MARK) and _is_file(path / MARK)
    if has_content and not is_marked:
        raise FolderNotOursError(
            f"{path} holds files that the bridge did not make, and would be emptied: {_OPTION}."
        )


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _lock(path: Path, sleep: Callable[[float], None]) -> int:
    """Lock the mark, write our process's ID into it, and return its descriptor."""
    mark = path / MARK
    holder = None
    for _ in range(int(_ENDING_WITHIN_SECONDS / _POLL_SECONDS)):
        # Never replaced by a new file: two could then hold locks on one folder.
        descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            if _is_locked_by_us(descriptor) and _is_same_file(descriptor, mark):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
                kept, descriptor = descriptor, -1
                return kept
            holder = _holder(descriptor)
            if holder is not None and _is_process(holder):
                break
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        # Its holder has been killed and its parts are ending, or it is about to say who it is.
        sleep(_POLL_SECONDS)
    raise FolderInUseError(_in_use(path, holder))


def _is_locked_by_us(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same_file(descriptor: int, mark: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), mark.lstat())
    return False


def _holder(descriptor: int) -> int | None:
    """Return the ID of the process that the mark names; None if it names none."""
    text = os.pread(descriptor, _LONGEST_ID, 0)
    return int(text) if text.strip().isdigit() else None


def _is_process(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _in_use(path: Path, holder: int | None) -> str:
    whose = f"the running stack of process {holder}" if holder else "a running stack"
    return f"{path} belongs to {whose}: stop that one, or {_OPTION}."


def _check_above(path: Path) -> None:
    """Raise if a folder above is a stack's: its next start would delete this one."""
    for above in path.parents:
        if os.path.lexists(above / MARK):
            raise FolderNotOursError(
                f"{path} lies in {above}, a stack's folder, which is emptied: {_OPTION}."
            )


def _check_below(path: Path) -> None:
    """Raise if a folder below is a running stack's."""
    for below, _, names in os.walk(path):
        mark = Path(below, MARK)
        if mark.parent == path or MARK not in names or not _is_file(mark):
            continue
        descriptor = os.open(mark, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(_in_use(mark.parent, _holder(descriptor))) from None
        finally:
            os.close(descriptor)
