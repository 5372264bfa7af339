"""What was set aside, and what became of it: sentences for people, JSON for programs.

An item's ID and content may be anything, so a terminal gets nothing that it would obey.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from azure_function_app.sync.poison_replay import ReplayOutcome, ReplayReport
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry

_LONGEST_ID: Final = 60


def entries_to_json(entries: Sequence[PoisonEntry], *, has_more: bool) -> str:
    """Return the entries as one line of JSON; `next` is for --after where there are more."""
    following = entries[-1].key if has_more else None
    return json.dumps({"items": [asdict(entry) for entry in entries], "next": following})


def entries_to_text(entries: Sequence[PoisonEntry], *, has_more: bool) -> str:
    """Return the entries, some lines each."""
    if not entries:
        return "Nothing is set aside."
    lines = [line for entry in entries for line in _entry_to_lines(entry)]
    if has_more:
        lines.append(f"There are more: --after {entries[-1].key}")
    return "\n".join(lines)


def kept_to_json(kept: KeptPoison) -> str:
    """Return the item with its content, in base64 because it may be no text, as a line of JSON."""
    content = base64.b64encode(kept.raw).decode()
    return json.dumps({**asdict(kept.entry), "content_base64": content})


def kept_to_text(kept: KeptPoison) -> str:
    """Return the item with its content, in which what cannot be shown is escaped."""
    content = shown(kept.raw.decode(errors="backslashreplace"))
    return "\n".join([*_entry_to_lines(kept.entry), content])


def replay_to_json(report: ReplayReport) -> str:
    """Return what became of the items as one line of JSON."""
    counts = {outcome.value: report.outcomes.get(outcome, 0) for outcome in ReplayOutcome}
    return json.dumps({**counts, "reasons": dict(report.reasons)})


def replay_to_text(report: ReplayReport) -> str:
    """Return what became of the items in a few short lines."""
    if not report.outcomes:
        return "Nothing is set aside."
    lines = [
        f"  stored     {report.outcomes.get(ReplayOutcome.STORED, 0):,}",
        f"  overtaken  {report.outcomes.get(ReplayOutcome.OVERTAKEN, 0):,}, by a newer version",
        f"  unfit      {report.outcomes.get(ReplayOutcome.UNFIT, 0):,}, still set aside",
    ]
    lines += [f"    {count:,}: {shown(reason)}" for reason, count in report.reasons.items()]
    return "\n".join(lines)


def shown(text: str) -> str:
    """Return the text with whatever is no printable character escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _entry_to_lines(entry: PoisonEntry) -> list[str]:
    name = shown(entry.id[:_LONGEST_ID]) or "without an ID"
    kind = ", a deletion" if entry.is_tombstone else ""
    kept = "" if entry.is_whole else ", of which only the beginning is kept"
    since = entry.origin.set_aside_at or "an unknown time"
    size = f"{entry.size:,} bytes{kept}"
    return [
        entry.key,
        f"  {name}{kind}: {shown(entry.reason)}",
        f"  {size}, set aside at {since}, generation {entry.origin.generation}",
    ]
