"""The sync's benchmark, with few records: real processes, a real socket, real files."""

import sqlite3
from pathlib import Path

import pytest

from benchmarks.sync.contenders import (
    BRIDGE,
    PLAIN_LOOP,
    BenchmarkFailed,
    Contender,
    Store,
    measure,
    new_sink,
)
from benchmarks.sync.instances import measure_instances
from benchmarks.sync.source import Source


@pytest.mark.parametrize("contender", [BRIDGE, PLAIN_LOOP], ids=lambda each: each.name)
def test_when_a_contender_has_loaded_then_it_has_asked_for_each_page_once(
    contender: Contender,
) -> None:
    """Of 1,200 records in three pages; the increment of ten takes one request."""
    with Source(1_200) as source, new_sink(Store.SQLITE, "") as sink:
        loads = measure(contender, source, sink)

    assert (loads.first.requests, loads.increment.requests) == (3, 1)
    assert loads.first.seconds > 0
    assert loads.first.peak_mib > 10


def test_when_instances_share_the_shards_then_the_sink_holds_what_the_source_has() -> None:
    """One of them, and four; what is stored is compared, or nothing is measured."""
    loads = measure_instances(lambda _text: None, records=800, page_seconds=0.01)

    assert 800 == loads.records
    assert loads.one > 0
    assert loads.many > 0


def test_when_a_sink_lacks_a_record_then_nothing_is_measured() -> None:
    """None can win by doing less: what is stored is compared, record by record."""
    with Source(20) as source, new_sink(Store.SQLITE, "") as sink:
        measure(PLAIN_LOOP, source, sink)
        file = Path(sink.arguments[0])
        with sqlite3.connect(file) as connection:
            connection.execute("DELETE FROM records WHERE id = (SELECT max(id) FROM records)")
        connection.close()

        with pytest.raises(BenchmarkFailed, match=r"19 .* the source 20 "):
            measure(PLAIN_LOOP, source, sink)
