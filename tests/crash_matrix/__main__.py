"""`make crash-matrix`: try every point, or some, and exit with 1 if a promise was broken."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from emulator.azurite import Azurite, AzuritePrograms
from emulator.postgres import Postgres, PostgresPrograms
from shared.clock import SystemClock
from tests.crash_matrix.mutants import MUTANTS
from tests.crash_matrix.report import Line, findings_text, table
from tests.crash_matrix.scenarios import SCENARIOS
from tests.crash_matrix.stage import open_stage
from tests.crash_matrix.trials import STORES, StoreName, draw

_CHECKOUT: Final = Path(__file__).parents[2]
_PROGRESS_EVERY: Final = 50


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every promise held at every point that was tried."""
    options = _parse(arguments)
    if options.share is not None:
        asyncio.run(_try_share(options))
        return 0
    clock = SystemClock()
    began_at = clock.monotonic()
    lines: list[Line] = []
    broken = False
    for line in _from_shares(arguments, options.jobs):
        if line is None:
            broken = True
            continue
        lines.append(line)
        if line.findings:
            _say(findings_text(line))
        if len(lines) % _PROGRESS_EVERY == 0:
            _say(f"{len(lines)} points tried in {clock.monotonic() - began_at:.0f} s")
    for row in table(lines):
        _say(row)
    failed = sum(bool(line.findings) for line in lines)
    _say(
        f"{len(lines)} points tried in {clock.monotonic() - began_at:.0f} s,"
        f" {sum(line.was_reached for line in lines)} reached, {failed} with a broken promise"
    )
    if broken or not lines:
        _say("The matrix itself did not come to its end.")
    return int(bool(failed or broken or not lines))


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m tests.crash_matrix", description=__doc__)
    parser.add_argument("--store", choices=[*STORES, "all"], default="all")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", choices=[*names, "all"], default="all")
    parser.add_argument(
        "--points", default="all", help="how many of each store and scenario, drawn by the seed"
    )
    parser.add_argument("--point", type=int, help="the number of the only one to try")
    parser.add_argument("--groups", help="only what goes wrong in this way, such as `api stale`")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="begin no further trial after these")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="break this rule on purpose")
    parser.add_argument("--stop", action="store_true", help="end at the first broken promise")
    parser.add_argument("--latest-first", action="store_true", help="begin at a run's end")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="where to keep what failed trials leave")
    parser.add_argument("--share", type=int, help="for one of several processes: which one")
    return parser.parse_args(arguments)


def _from_shares(arguments: Sequence[str], jobs: int) -> Iterator[Line | None]:
    """Yield each trial's line as it comes; None for a process that broke."""
    command = [sys.executable, "-m", "tests.crash_matrix", *arguments]
    read = subprocess.PIPE
    shares = [
        subprocess.Popen([*command, "--share", str(number)], cwd=_CHECKOUT, stdout=read, text=True)
        for number in range(jobs)
    ]
    try:
        yield from _merged(shares)
    finally:
        for share in shares:
            share.terminate()
    for share in shares:
        if share.wait() != 0:
            yield None


def _merged(shares: Sequence["subprocess.Popen[str]"]) -> Iterator[Line]:
    import selectors  # noqa: PLC0415 - only the process that starts the others needs it

    with selectors.DefaultSelector() as selector:
        for share in shares:
            selector.register(share.stdout or sys.stdin, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                text = key.fileobj.readline()  # type: ignore[union-attr]
                if text:
                    yield Line(**json.loads(text))
                else:
                    selector.unregister(key.fileobj)


async def _try_share(options: Namespace) -> None:
    stores: Sequence[StoreName] = STORES if options.store == "all" else [options.store]
    clock = SystemClock()
    give_up_at = clock.monotonic() + (options.seconds or float("inf"))
    with (
        _folder(options.keep) as folder,
        _azurite(stores, folder) as azurite,
        _postgres(stores, folder) as postgres,
    ):
        opened = open_stage(folder, azurite, postgres, mutant=options.mutant, seed=options.seed)
        async with opened as stage:
            for store in stores:
                for scenario in SCENARIOS:
                    if options.scenario not in {"all", scenario.name}:
                        continue
                    if scenario.stores and store not in scenario.stores:
                        continue
                    prepared = await stage.prepare(scenario, store)
                    trials = [
                        trial
                        for trial in prepared.trials
                        if options.point in {None, trial.number}
                        and options.groups in {None, trial.group}
                    ]
                    if options.points != "all":
                        trials = draw(trials, int(options.points), options.seed)
                    if options.latest_first:
                        trials = trials[::-1]
                    for trial in trials[options.share :: options.jobs]:
                        if clock.monotonic() >= give_up_at:
                            return
                        outcome = await stage.attempt(prepared, trial)
                        line = Line.of(store, scenario.name, outcome)
                        sys.stdout.write(line.to_json() + "\n")
                        sys.stdout.flush()
                        if options.stop and outcome.findings:
                            return


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        folder = Path(tempfile.mkdtemp(dir=kept))
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="crash-matrix-") as name:
        yield Path(name)


@contextmanager
def _azurite(stores: Sequence[StoreName], folder: Path) -> Iterator[Azurite | None]:
    if "table" not in stores:
        yield None
        return
    azurite = Azurite.start(
        AzuritePrograms.under(_CHECKOUT / ".tools"),
        folder / "azurite",
        clock=SystemClock(),
        sleep=time.sleep,
    )
    try:
        yield azurite
    finally:
        azurite.stop()


@contextmanager
def _postgres(stores: Sequence[StoreName], folder: Path) -> Iterator[Postgres | None]:
    if "postgres" not in stores:
        yield None
        return
    postgres = Postgres.start(
        PostgresPrograms.under(_CHECKOUT / ".tools"),
        folder / "postgres",
        clock=SystemClock(),
        sleep=time.sleep,
    )
    try:
        yield postgres
    finally:
        postgres.stop()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
