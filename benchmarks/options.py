"""The options that every benchmark has, spelt once."""

from argparse import ArgumentParser
from pathlib import Path


def build_parser(program: str, description: str, *, rounds: int) -> ArgumentParser:
    """Return a parser that knows `--date`, `--rounds` and `--output`."""
    parser = ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--date", required=True, help="the day of the run, for the results")
    parser.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    parser.add_argument(
        "--output", type=Path, help="the file for the results; default: in benchmarks/results"
    )
    return parser
