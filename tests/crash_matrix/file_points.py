"""Every file operation of SQLite as a point at which the process ends or the disk fails.

It stands inside the run's process, below the product's own SQLite library: a copy of the library's
own VFS, of which those methods that change files are wrapped. Nothing else is different, neither
the library nor what the product calls.
"""

import _sqlite3
import ctypes
import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

type FileFault = Literal[
    "kill_before",
    "kill_after",
    "torn_write",
    "power_loss",
    "disk_full",
    "disk_error",
    "freeze",
]

_OK: Final = 0
_FULL: Final = 13
_ERRORS: Final = {"write": 778, "sync": 1034, "truncate": 1546, "delete": 2570, "create": 14}
"""SQLITE_IOERR_WRITE, _FSYNC, _TRUNCATE, _DELETE, and SQLITE_CANTOPEN."""
_OPEN_CREATE: Final = 0x4

_p = ctypes.c_void_p
_Write = ctypes.CFUNCTYPE(ctypes.c_int, _p, _p, ctypes.c_int, ctypes.c_int64)
_Read = ctypes.CFUNCTYPE(ctypes.c_int, _p, _p, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, _p, ctypes.c_int64)
_Size = ctypes.CFUNCTYPE(ctypes.c_int, _p, ctypes.POINTER(ctypes.c_int64))
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _p, ctypes.c_int)
_Open = ctypes.CFUNCTYPE(
    # The name as a pointer: SQLite keeps it, and what stands behind it.
    ctypes.c_int,
    _p,
    _p,
    _p,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_int),
)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, _p, ctypes.c_char_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    # https://sqlite.org/c3ref/vfs.html
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", _p),
        ("name", ctypes.c_char_p),
        ("app_data", _p),
        ("open", _p),
        ("delete", _p),
        ("others", _p * 14),
    )


class _Methods(ctypes.Structure):
    # https://sqlite.org/c3ref/io_methods.html
    _fields_ = (
        ("version", ctypes.c_int),
        ("close", _p),
        ("read", _p),
        ("write", _p),
        ("truncate", _p),
        ("sync", _p),
        ("size", _p),
        ("others", _p * 12),
    )


@dataclass(frozen=True, slots=True)
class Unsynced:
    """A change of a file that a machine that loses power may lose."""

    path: str
    offset: int
    written: bytes | None
    """None where the file was cut at the offset; and where it was deleted, at -1."""
    before: bytes
    """The whole file, before the change."""


@dataclass(slots=True)
class FilePoints:
    """Counts the operations, and lets one of them go wrong."""

    fault: FileFault | None
    at: int
    """The operation's number, from 1."""
    notice: Path
    """Where to say that the point was reached; for a loss of power, with what it may lose."""
    seen: list[str] = field(default_factory=list[str])
    _paths: dict[int, str] = field(default_factory=dict[int, str])
    _unsynced: list[Unsynced] = field(default_factory=list[Unsynced])
    _methods: dict[int, _Methods] = field(default_factory=dict[int, _Methods])
    _kept: list[Any] = field(default_factory=list[Any])
    """What C holds pointers to."""
    _is_full: bool = False

    def install(self) -> None:
        """Put it below every SQLite file that this process opens from now on."""
        library = _library()
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = (ctypes.c_char_p,)
        own = library.sqlite3_vfs_find(None)
        vfs = _Vfs.from_buffer_copy(own.contents)
        vfs.name = b"points"
        opening, deleting = _Open(own.contents.open), _Delete(own.contents.delete)

        def open_file(_vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
            path = os.fsdecode(ctypes.string_at(name)) if name else ""
            is_new = bool(path) and bool(flags & _OPEN_CREATE) and not Path(path).exists()

            def do() -> int:
                outcome: int = opening(ctypes.addressof(own.contents), name, file, flags, out)
                return outcome

            outcome = self._pass("create", path, do) if is_new else do()
            if outcome == _OK:
                self._paths[file] = path
                self._wrap(file)
            return outcome

        def delete_file(_vfs: int, name: bytes, sync_folder: int) -> int:
            path = os.fsdecode(name)

            def do() -> int:
                # It is closed by now, so nobody has a lock on it that reading would drop.
                self._note(path, -1, None, Path(path).read_bytes)
                outcome: int = deleting(ctypes.addressof(own.contents), name, sync_folder)
                if sync_folder:
                    self._settle(path)
                return outcome

            return self._pass("delete", path, do) if Path(path).exists() else do()

        hooks = _Open(open_file), _Delete(delete_file)
        vfs.open, vfs.delete = (ctypes.cast(hook, _p).value for hook in hooks)
        self._kept += [library, own, vfs, *hooks]
        library.sqlite3_vfs_register.argtypes = (ctypes.POINTER(_Vfs), ctypes.c_int)
        if library.sqlite3_vfs_register(ctypes.byref(vfs), 1) != _OK:
            raise RuntimeError("SQLite did not take the VFS.")

    def _wrap(self, file: int) -> None:
        """Let the methods of a file that was just opened be ours."""
        slot = ctypes.cast(file, ctypes.POINTER(_p))
        address = slot[0]
        if not address:
            return
        if address not in self._methods:
            self._methods[address] = self._wrapped(_Methods.from_address(address))
        slot[0] = ctypes.addressof(self._methods[address])

    def _wrapped(self, own: _Methods) -> _Methods:
        writing, cutting, syncing = _Write(own.write), _Truncate(own.truncate), _Sync(own.sync)
        reading, measuring = _Read(own.read), _Size(own.size)

        def content(file: int) -> bytes:
            # By SQLite's own means: who opens a file and closes it drops the process's locks on it.
            size = ctypes.c_int64()
            measuring(file, ctypes.byref(size))
            buffer = ctypes.create_string_buffer(size.value or 1)
            reading(file, ctypes.addressof(buffer), size.value, 0)
            return buffer.raw[: size.value]

        def write(file: int, data: int, length: int, offset: int) -> int:
            path = self._paths.get(file, "")

            def do(length: int = length) -> int:
                written = ctypes.string_at(data, length)
                self._note(path, offset, written, lambda: content(file))
                outcome: int = writing(file, data, length, offset)
                return outcome

            return self._pass("write", path, do, tear=lambda: do(length // 2))

        def truncate(file: int, size: int) -> int:
            path = self._paths.get(file, "")

            def do() -> int:
                self._note(path, size, None, lambda: content(file))
                outcome: int = cutting(file, size)
                return outcome

            return self._pass("truncate", path, do)

        def sync(file: int, flags: int) -> int:
            path = self._paths.get(file, "")

            def do() -> int:
                outcome: int = syncing(file, flags)
                self._settle(path)
                return outcome

            return self._pass("sync", path, do)

        hooks = _Write(write), _Truncate(truncate), _Sync(sync)
        methods = _Methods.from_buffer_copy(own)
        methods.write, methods.truncate, methods.sync = (
            ctypes.cast(hook, _p).value for hook in hooks
        )
        self._kept += hooks
        return methods

    def _note(
        self, path: str, offset: int, written: bytes | None, before: Callable[[], bytes]
    ) -> None:
        if self.fault == "power_loss":
            self._unsynced.append(Unsynced(path, offset, written, before()))

    def _settle(self, path: str) -> None:
        self._unsynced = [change for change in self._unsynced if change.path != path]

    def _pass(
        self,
        kind: str,
        path: str,
        do: Callable[[], int],
        tear: Callable[[], int] | None = None,
    ) -> int:
        """Do an operation, unless this is the one that goes wrong."""
        self.seen.append(f"{kind} {_suffix(path)}")
        if self._is_full and kind in {"write", "create"}:
            return _FULL
        if self.fault is None or len(self.seen) != self.at:
            return do()
        match self.fault:
            case "kill_before":
                self._end()
            case "kill_after":
                do()
                self._end()
            case "torn_write":
                (tear or do)()
                self._end()
            case "power_loss":
                do()
                self._end()
            case "disk_full":
                self._say()
                self._is_full = kind in {"write", "create"}
                return _FULL if self._is_full else do()
            case "disk_error":
                self._say()
                return _ERRORS[kind]
            case "freeze":
                self._say()
                os.kill(os.getpid(), signal.SIGSTOP)
        return do()

    def _say(self) -> None:
        self.notice.write_bytes(pickle.dumps(self._unsynced))

    def _end(self) -> None:
        self._say()
        os.kill(os.getpid(), signal.SIGKILL)


def _library() -> Any:
    # The product's own SQLite, whether it is a library of its own or part of Python.
    for holder in (getattr(_sqlite3, "__file__", None), None):
        library = ctypes.CDLL(holder)
        if hasattr(library, "sqlite3_vfs_find"):
            return library
    raise RuntimeError("This Python hides the functions of its SQLite library; use another build.")


def _suffix(path: str) -> str:
    name = Path(path).name
    return name.rpartition("-")[2] if "-" in name else "database"


def lose_power(unsynced: list[Unsynced], keeps: Callable[[int], float]) -> None:
    """Leave of the changes that were not synced only what the machine happened to have written.

    Args:
        unsynced: in their order.
        keeps: says of each how much of it is on the disk, from 0 to 1.

    """
    contents: dict[str, bytes | None] = {}
    for change in unsynced:
        contents.setdefault(change.path, change.before)
    for number, change in enumerate(unsynced):
        if (share := keeps(number)) > 0.0:
            contents[change.path] = _changed(contents[change.path] or b"", change, share)
    for path, content in contents.items():
        if content is None:
            Path(path).unlink(missing_ok=True)
        elif content or Path(path).exists():
            Path(path).write_bytes(content)


def _changed(content: bytes, change: Unsynced, share: float) -> bytes | None:
    """Return the file with so much of the change made; None if it is deleted."""
    if change.written is None:
        return None if change.offset < 0 else content[: change.offset]
    kept = change.written[: int(len(change.written) * share)]
    begun = content[: change.offset].ljust(change.offset, b"\0")
    return begun + kept + content[change.offset + len(kept) :]
