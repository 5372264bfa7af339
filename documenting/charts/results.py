"""The results files of the benchmarks, and the targets that they name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

type Document = Mapping[str, Any]

_BOUND: Final = re.compile(r"(at least|at most) (\d+(?:\.\d+)?)")


class ResultsError(Exception):
    """A results file says something that no chart knows how to show."""


@dataclass(frozen=True, slots=True)
class Target:
    """A promise, what was measured, and the bound, which is a most or a least."""

    name: str
    measured: float
    bound: float
    is_most: bool
    is_met: bool

    @property
    def margin(self) -> float:
        """How many times better than promised; below 1 the promise is missed."""
        return self.bound / self.measured if self.is_most else self.measured / self.bound

    @property
    def bound_text(self) -> str:
        """Return the bound in words."""
        return f"{'at most' if self.is_most else 'at least'} {self.bound:g}"

    @property
    def outcome(self) -> str:
        """Return what became of the promise, in a word."""
        return "met" if self.is_met else "missed"


@dataclass(frozen=True, slots=True)
class Results:
    """What `make bench` has written, file by file."""

    authorizer: Document
    client: Document
    feed: Document
    sync: Document

    def authorizer_targets(self) -> dict[str, Target]:
        """Return the authorizer's promises by what they say."""
        return {
            each["promise"]: Target(
                each["promise"],
                each["measured"],
                each["at_most"],
                is_most=True,
                is_met=each["is_met"],
            )
            for each in self.authorizer["targets"]
        }

    def client_targets(self) -> dict[str, Target]:
        """Return the client's promises by what they say."""
        return _bounded(self.client)

    def feed_targets(self) -> dict[str, Target]:
        """Return the change feed's promises by what they say."""
        return _bounded(self.feed)

    def sync_targets(self) -> dict[str, Target]:
        """Return the sync's promises by what they say."""
        return _bounded(self.sync)


def read_results(folder: Path) -> Results:
    """Return what the benchmarks have left in the folder.

    Raises:
        OSError, ValueError: a file is not there or no JSON.

    """

    def read(name: str) -> Document:
        document: Document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return document

    return Results(read("authorizer"), read("client"), read("feed"), read("sync"))


def _bounded(document: Document) -> dict[str, Target]:
    """Return the targets whose bound is a most or a least; others are counts that must be exact."""
    found = {}
    for each in document["targets"]:
        if match := _BOUND.fullmatch(each["bound"]):
            found[each["name"]] = Target(
                each["name"],
                each["measured"],
                float(match[2]),
                is_most=match[1] == "at most",
                is_met=each["is_held"],
            )
    return found


def target(targets: Mapping[str, Target], name: str) -> Target:
    """Return the target of that name.

    Raises:
        ResultsError: the results have no such target any more.

    """
    if name not in targets:
        raise ResultsError(f"the results have no target “{name}”; there are: {', '.join(targets)}")
    return targets[name]
