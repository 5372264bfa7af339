"""`python -m emulator.functions_host --app <folder> --port <n>`: the host as a program."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host import (
    MESSAGE_LEASE,
    HostOptions,
    configure_logging,
    run_host,
)
from emulator.functions_host.keys import HostKeys
from emulator.functions_host.settings import LOCAL_SETTINGS, process_environment
from shared.clock import SystemClock

_DEFAULT_PORT = 7071
_DEFAULT_GRACE = 30.0


def _parse_options(arguments: list[str]) -> HostOptions:
    parser = argparse.ArgumentParser(prog="functions_host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="the Function App's root folder")
    parser.add_argument(
        "--port", type=int, default=_DEFAULT_PORT, help="0 takes a free one; default: %(default)s"
    )
    settings = parser.add_mutually_exclusive_group()
    settings.add_argument(
        "--settings", type=Path, help="default: <app>/local.settings.json where there is one"
    )
    settings.add_argument(
        "--ignore-local-settings",
        action="store_true",
        help="take settings only from the environment",
    )
    parser.add_argument("--state", type=Path, help="default: <app>/.bridge/functions-host")
    parser.add_argument(
        "--grace",
        type=float,
        default=_DEFAULT_GRACE,
        help="seconds that running invocations get when the host is stopped; default: %(default)s",
    )
    parser.add_argument(
        "--message-lease",
        type=int,
        default=MESSAGE_LEASE,
        help="seconds until a queue message of a host that died is visible again; "
        "default: %(default)s, as in Azure, where it cannot be chosen",
    )
    parser.add_argument(
        "--own-packages",
        action="store_true",
        help="run the app in a process of its own, with the packages that its folder holds and no "
        "others, as in Azure",
    )
    parser.add_argument(
        "--keys",
        type=Path,
        help='a JSON file with the keys that callers must show, as "master" and "function"; '
        "default: everybody is let in",
    )
    parsed = parser.parse_args(arguments)
    app_root = parsed.app.resolve()
    return HostOptions(
        app_root=app_root,
        port=parsed.port,
        settings_file=None if parsed.ignore_local_settings else _settings_file(parsed, app_root),
        state_folder=(parsed.state or app_root / ".bridge" / "functions-host").resolve(),
        grace=parsed.grace,
        message_lease=parsed.message_lease,
        is_isolated=parsed.own_packages,
        keys=None if parsed.keys is None else HostKeys.load(parsed.keys),
    )


def _settings_file(parsed: argparse.Namespace, app_root: Path) -> Path | None:
    named: Path | None = parsed.settings
    if named is not None:
        return named.resolve()
    default = app_root / LOCAL_SETTINGS
    return default if default.is_file() else None


async def _run_until_signal(options: HostOptions) -> bool:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            # A second signal means that its sender does not want to wait.
            os._exit(1)
        stop.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, on_signal)
    is_clean = await run_host(options, process_environment(), SystemClock(), stop)
    if not is_clean:
        # A function stuck in a thread would hold the interpreter open for ever.
        sys.stdout.flush()
        os._exit(1)
    return is_clean


def _enter(app_root: Path) -> None:
    if not app_root.is_dir():
        raise FunctionsHostError(f"{app_root} is no folder; --app names the app's root.")
    # The real worker runs in the app's folder.
    os.chdir(app_root)


def main() -> int:
    """Run the host, and return 0 after a clean stop or 1 if it could not start."""
    configure_logging()
    try:
        options = _parse_options(sys.argv[1:])
        _enter(options.app_root)
        asyncio.run(_run_until_signal(options))
    except FunctionsHostError as error:
        sys.stderr.write(f"functions host: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
