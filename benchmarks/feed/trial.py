"""`python -m benchmarks.feed.trial`: writers and readers of a feed, with all that can go wrong."""

import sys
from argparse import ArgumentParser
from time import perf_counter

from tests.support.dynamodb_model.service import Limits
from tests.support.feed_trial import Trial, run_trial


def main() -> int:
    """The exit code: 0 if no reader missed a change, and nothing else was wrong."""
    parser = ArgumentParser(prog="python -m benchmarks.feed.trial", description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--writers", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--readers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--shards", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="another order; default: %(default)s")
    options = parser.parse_args()
    trial = Trial(
        changes=options.changes,
        writers=options.writers,
        readers=options.readers,
        shards=options.shards,
        records=max(5, options.changes // 100),
        limits=Limits(),
    )
    began = perf_counter()
    outcome = run_trial(trial, options.seed)
    events = ", ".join(f"{count:,} {name}" for name, count in sorted(outcome.events.items()))
    print(
        f"{outcome.committed:,} changes by {trial.writers} writers, {outcome.pages:,} pages read by"
        f" {trial.readers} readers, {outcome.steps:,} steps in {perf_counter() - began:.0f} s"
    )
    print(f"on the way: {events}")
    print(f"missed: {outcome.missed}")
    if outcome.complaints:
        print(f"WRONG: {outcome.complaints}")
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
