"""Writes what the docs show: `python -m documenting charts | pictures [--only NAME]`.

Each kind is imported when it is asked for, because the charts run in an environment of their own,
which has matplotlib and nothing of ours beside it.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write one kind of what the docs show; exits with 1 and a sentence where that fails."""
    parser = argparse.ArgumentParser(prog="documenting", description=__doc__)
    parser.add_argument("kind", choices=("charts", "pictures"))
    parser.add_argument("--only", metavar="NAME", help="write only this one")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="in place of its folder in docs/")
    asked = parser.parse_args()
    match asked.kind:
        case "charts":
            from documenting.charts.writing import CHART_ERRORS, write_charts, write_page

            with _complaining(CHART_ERRORS):
                folder = asked.to or _CHECKOUT / "docs/charts"
                write_charts(_CHECKOUT, folder, _say, only=asked.only)
                if asked.to is None:
                    write_page(_CHECKOUT)
        case "pictures":
            from documenting.pictures.writing import PICTURE_ERRORS, write_pictures

            with _complaining(PICTURE_ERRORS):
                folder = asked.to or _CHECKOUT / "docs/pictures"
                write_pictures(_CHECKOUT, folder, _say, only=asked.only)


@contextmanager
def _complaining(expected: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except expected as error:
        sys.exit(str(error))


def _say(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


main()
