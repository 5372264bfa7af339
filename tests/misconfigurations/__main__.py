"""`make misconfigurations`: try every row, or some, and exit with 1 if one was not put right."""

import asyncio
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.misconfigurations.installation import running_installation
from tests.misconfigurations.misconfiguration import Misconfiguration
from tests.misconfigurations.proof import Proof, prove
from tests.misconfigurations.repair import NotDoableError
from tests.misconfigurations.table import ROWS

_WIDTH: Final = 160


def main(arguments: Sequence[str]) -> int:
    """Return 0 if the doctor named the cause of every row, and what it said put it right."""
    parser = ArgumentParser(prog="python -m tests.misconfigurations", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows; all by default")
    parser.add_argument(
        "--asked", choices=("command", "command_with_log", "route"), help="ask the doctor only so"
    )
    options = parser.parse_args(arguments)
    wanted: list[str] = options.rows
    unknown = set(wanted) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no row is called {', '.join(sorted(unknown))}")
    rows = [
        replace(row, asked=options.asked or row.asked)
        for row in ROWS
        if not wanted or row.name in wanted
    ]
    console = Console(width=_WIDTH)
    proofs, failures = asyncio.run(_try(rows, console))
    table = Table(box=None, pad_edge=False)
    for column in ("row", "check", "cause"):
        table.add_column(column, no_wrap=True)
    table.add_column("fix", overflow="fold")
    for column in ("doctor ms", "ms"):
        table.add_column(column, justify="right")
    for proof in proofs:
        times = (f"{proof.doctor_milliseconds:.0f}", f"{proof.milliseconds:.0f}")
        table.add_row(proof.name, proof.check, proof.cause, escape(proof.fix), *times)
    console.print(table)
    for name, reason in failures.items():
        console.print(f"[red]{name}[/]: {escape(reason)}")
    console.print(f"{len(proofs)} of {len(rows)} named and put right")
    return int(bool(failures) or not proofs)


async def _try(
    rows: Sequence[Misconfiguration], console: Console
) -> tuple[list[Proof], dict[str, str]]:
    proofs: list[Proof] = []
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with running_installation(Path(folder) / "stack") as installation:
            for row in rows:
                with console.status(row.wrong):
                    try:
                        proofs.append(await prove(installation, row))
                    except (AssertionError, NotDoableError) as failure:
                        failures[row.name] = str(failure)
    return proofs, failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
