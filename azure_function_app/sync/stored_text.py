"""Checkpoints and reports as JSON text, as the stores keep them.

What stands there may come from another version of the app, before it or after it: a deployment that
is rolled back must go on. So members that are unknown are kept, and defaults are left out. A later
version whose checkpoints must not be used by this one raises `format`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Final

from azure_function_app.errors import CheckpointUnreadable
from azure_function_app.sync.checkpoint_store import Checkpoint, SyncReport, SyncStatus
from azure_function_app.sync.sweep import Sweep, SweepPhase

_FORMAT: Final = 1
_RESET: Final = (
    "`bridge sync --reset` deletes it and reads everything again; in the end, what the source lacks"
    " is marked as deleted."
)


def encode_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the checkpoint but for its fence as JSON text."""
    members: dict[str, object] = {
        **checkpoint.unknown,
        "cursor": checkpoint.cursor,
        "generation": checkpoint.generation,
        "is_rereading": checkpoint.is_rereading,
    }
    if checkpoint.feed_cursor:
        members["feed_cursor"] = checkpoint.feed_cursor
    if checkpoint.sweep is not None:
        members["sweep"] = asdict(checkpoint.sweep)
    return json.dumps(members)


def decode_checkpoint(text: object, fence: str) -> Checkpoint:
    """Return the checkpoint that `encode_checkpoint` wrote, under the store's fence for it.

    Raises:
        CheckpointUnreadable: the text is damaged, something else, or of a later version's format.

    """
    try:
        members = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        raise _unreadable("checkpoint_damaged", "is damaged") from error
    if not isinstance(members, dict) or "cursor" not in members:
        raise _unreadable("checkpoint_foreign", "is not one of this app's")
    text_format = members.get("format", _FORMAT)
    if text_format != _FORMAT:
        raise CheckpointUnreadable(
            f"The stored checkpoint has format {text_format!r}, and this version of the app knows"
            f" {_FORMAT}: deploy the later version again. Or: {_RESET}",
            code="checkpoint_newer",
        )
    try:
        return Checkpoint(
            cursor=_checked(members.pop("cursor"), str),
            fence=fence,
            generation=_whole(members.pop("generation", 0)),
            is_rereading=_checked(members.pop("is_rereading", False), bool),
            sweep=_decode_sweep(members.pop("sweep", None)),
            feed_cursor=_checked(members.pop("feed_cursor", ""), str),
            unknown=members,
        )
    except (ValueError, TypeError) as error:
        raise _unreadable("checkpoint_damaged", "is damaged") from error


def encode_report(report: SyncReport) -> str:
    """Return the report as JSON text."""
    return json.dumps(report.to_members())


def decode_report(text: object) -> SyncReport | None:
    """Return the report that `encode_report` wrote; None if this version cannot read it."""
    try:
        members = json.loads(text) if isinstance(text, str) else None
        if not isinstance(members, dict):
            return None
        known = {name: members[name] for name in _REPORT_MEMBERS & members.keys()}
        return SyncReport(**(known | {"status": SyncStatus(members["status"])}))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


_REPORT_MEMBERS: Final = frozenset(member.name for member in fields(SyncReport))


def _decode_sweep(members: object) -> Sweep | None:
    if members is None:
        return None
    if not isinstance(members, Mapping):
        raise TypeError
    position = members.get("position", "")
    return Sweep(
        phase=SweepPhase(members.get("phase", "")),
        position=None if position is None else _checked(position, str),
        live=_whole(members.get("live", 0)),
        missing=_whole(members.get("missing", 0)),
        read_since=_whole(members.get("read_since", 0)),
    )


def _checked[T](value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _whole(value: object) -> int:
    # bool is a subclass of int.
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _unreadable(code: str, what: str) -> CheckpointUnreadable:
    return CheckpointUnreadable(f"The stored checkpoint {what}. {_RESET}", code=code)
