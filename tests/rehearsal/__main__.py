"""`make rehearse`: the deployment from empty clouds, on this machine; 1 if it did not hold."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from shared.clock import SystemClock
from tests.rehearsal.acts import Act, empty_clouds, every_act
from tests.rehearsal.commands import RehearsalError


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every act went as it must."""
    parser = ArgumentParser(prog="python -m tests.rehearsal", description=__doc__)
    parser.add_argument("--kills", choices=["all", "none"], default="all")
    acts = every_act(kills=parser.parse_args(arguments).kills == "all")
    console, clock = Console(highlight=False), SystemClock()
    failed = 0
    for act in acts:
        began_at = clock.monotonic()
        faults = _play(act)
        failed += bool(faults)
        mark = "[bold red]✗[/]" if faults else "[green]✓[/]"
        seconds = clock.monotonic() - began_at
        console.print(f"{mark} {act.name:<34}{seconds:>6.1f} s", soft_wrap=True)
        for fault in faults:
            console.print(f"    {escape(fault)}", soft_wrap=True)
    console.print(f"{len(acts)} acts, {failed} failed")
    return int(bool(failed))


def _play(act: Act) -> list[str]:
    try:
        with empty_clouds() as clouds:
            return act.play(clouds)
    except RehearsalError as error:
        return [str(error)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
