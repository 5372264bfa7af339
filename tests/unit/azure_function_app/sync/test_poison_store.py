"""How an item that is set aside is known."""

from dataclasses import replace

from azure_function_app.sync.poison_store import PoisonOrigin, poison_entry, poison_key
from azure_function_app.sync.records import PoisonRecord

ORIGIN = PoisonOrigin("run", "2026-11-21T06:00:00.000Z", 0, "c", 500)


def test_when_poison_differs_then_its_key_does() -> None:
    """The key tells items apart by ID and content, not by the reason or where one ends."""
    one = PoisonRecord("a", "reason", b"bc")

    assert poison_key(one) == poison_key(replace(one, reason="another"))
    assert 4 == len(
        {
            poison_key(one),
            poison_key(replace(one, raw=b"b")),
            poison_key(PoisonRecord("ab", "reason", b"c")),
            poison_key(replace(one, id="\ud800")),
        }
    )


def test_when_two_items_begin_alike_then_their_keys_differ_where_only_that_is_kept() -> None:
    """The key is of the whole item."""
    entries = [
        poison_entry(PoisonRecord("a", "r", b"x" * 10 + end), ORIGIN, most_bytes=10)
        for end in (b"1", b"2")
    ]

    assert entries[0].key != entries[1].key
    assert [(11, False)] * 2 == [(entry.size, entry.is_whole) for entry in entries]
