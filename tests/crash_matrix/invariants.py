"""What must hold of a sink: nothing lost, nothing resurrected, doubled or gone backwards."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tests.crash_matrix.sinks import EMPTY, Contents, duplicates
from tests.crash_matrix.source import Source


class Kind(StrEnum):
    """In which way a promise was broken."""

    LOST = "lost"
    """The source has a record, or a version of it, that the sink has not."""
    RESURRECTED = "resurrected"
    """The sink has a record that the source has deleted or never had."""
    DOUBLED = "doubled"
    """Something is in the sink twice."""
    BACKWARDS = "backwards"
    """The sink had a later version before."""
    UNHEALED = "unhealed"
    """Healthy runs did not come to the end, or went on changing something."""


class Finding(NamedTuple):
    """A promise that was broken."""

    kind: Kind
    what: str


@dataclass(slots=True)
class Watch:
    """Looks at the sink again and again, and compares with what was there before."""

    read: Callable[[], Contents | None]
    findings: list[Finding] = field(default_factory=list[Finding])
    last: Contents = EMPTY
    _converged: Contents | None = None

    def look(self) -> Contents:
        """Return what the sink holds, and note what must not have happened since the last look."""
        try:
            now = self.read()
        except sqlite3.DatabaseError as error:
            self._note(Kind.LOST, f"the file cannot be read: {error}")
            return self.last
        if now is None:
            return self.last
        self._check(now)
        self.last = now
        return now

    def forget(self) -> None:
        """Expect nothing of what was there: a machine that loses power may lose what came last."""
        self.last = EMPTY

    def expect_no_change(self) -> None:
        """Expect from now on what is there now: the source no longer changes."""
        self._converged = self.last

    def _check(self, now: Contents) -> None:
        for name in duplicates([row.id for row in now.rows]):
            self._note(Kind.DOUBLED, f"record {name}")
        for name in duplicates(now.set_aside):
            self._note(Kind.DOUBLED, f"{name}, set aside")
        held = {row.id: row for row in now.rows}
        for before in self.last.rows:
            row = held.get(before.id)
            if row is None:
                self._note(Kind.LOST, f"{before} is gone")
            elif (row.generation, row.version) < (before.generation, before.version):
                self._note(Kind.BACKWARDS, f"{before} became {row}")
            elif (row.generation, row.version) == (before.generation, before.version):
                if before.deleted and not row.deleted:
                    self._note(Kind.RESURRECTED, f"{before} became {row}")
                elif row.data != before.data:
                    self._note(Kind.BACKWARDS, f"{before} became {row} without a new version")
        if self._converged is not None:
            self.findings += differences(self._converged.live(), now.live(), "all had been read")

    def _note(self, kind: Kind, what: str) -> None:
        self.findings.append(Finding(kind, what))


def differences(
    expected: dict[str, tuple[int, str]], found: dict[str, tuple[int, str]], when: str
) -> list[Finding]:
    """Return how the live records differ from those that are expected."""
    findings = [
        Finding(Kind.LOST, f"{name} is {found.get(name)} instead of {wanted}; {when}")
        for name, wanted in expected.items()
        if found.get(name) != wanted
    ]
    findings += [
        Finding(Kind.RESURRECTED, f"{name} is {found[name]}; {when}")
        for name in found
        if name not in expected
    ]
    return findings


def check_end(source: Source, sink: Contents, refused: str | None) -> list[Finding]:
    """Return how the sink differs from the source when everything has been read.

    Args:
        source: which no longer changes.
        sink: after a healthy run to the end.
        refused: a record that the store refuses.

    """
    expected = source.live()
    unfit = set(source.spoiled)
    if refused is not None:
        expected.pop(refused, None)
        unfit.add(refused)
    findings = differences(expected, sink.live(), "at the end")
    # Of a feed that is over, an item may have been seen or not.
    current = {name for name in unfit if name in source.store.records}
    findings += [
        Finding(Kind.LOST, f"{name} is not set aside") for name in current - set(sink.set_aside)
    ]
    findings += [
        Finding(Kind.DOUBLED, f"{name} is set aside, and was fit")
        for name in set(sink.set_aside) - unfit
    ]
    return findings
