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
from tests.misconfigurations.proof import prove
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
    console = Console(width=_WIDTH, highlight=False)
    console.print(_line("row", "check", "cause", "doctor ms", "ms", "fix"), style="bold")
    proved = asyncio.run(_try(rows, console))
    console.print(f"{proved} of {len(rows)} named and put right")
    return int(proved != len(rows))


def _line(*cells: str) -> Table:
    line = Table.grid(padding=(0, 1))
    for width in (30, 15, 26):
        line.add_column(width=width, no_wrap=True)
    for _ in range(2):
        line.add_column(width=9, justify="right")
    line.add_column(overflow="fold")
    line.add_row(*(escape(cell) for cell in cells))
    return line


async def _try(rows: Sequence[Misconfiguration], console: Console) -> int:
    proved = 0
    with tempfile.TemporaryDirectory() as folder:
        async with running_installation(Path(folder) / "stack") as installation:
            for row in rows:
                try:
                    proof = await prove(installation, row)
                except (AssertionError, NotDoableError) as failure:
                    console.print(f"[red]{row.name}[/]: {escape(str(failure))}")
                else:
                    proved += 1
                    times = (f"{proof.doctor_milliseconds:.0f}", f"{proof.milliseconds:.0f}")
                    console.print(_line(proof.name, proof.check, proof.cause, *times, proof.fix))
    return proved


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
