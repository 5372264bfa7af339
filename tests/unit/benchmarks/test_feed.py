"""The feed's benchmark measures what it says."""

import pytest

from benchmarks.feed.report import Cost, Figures, tables
from benchmarks.feed.writing import Load, Written, write_virtually


def test_when_a_load_is_run_again_then_it_writes_the_same() -> None:
    """The model's clock counts, and not this machine's."""
    load = Load(writers=8, shards=2, seconds=0.5, records=50)

    assert write_virtually(load, 1).latencies == write_virtually(load, 1).latencies


@pytest.mark.parametrize(("shards", "units", "for_the_index"), [(1, 14, 8), (2, 10, 4)])
def test_when_one_writer_has_no_rival_then_a_write_costs_its_items_and_index_entries(
    shards: int, units: int, for_the_index: int
) -> None:
    """Record, counter, check and what is in the index, all of it twice; and two reads."""
    load = Load(writers=1, shards=shards, seconds=0.5, records=50)
    cost = Cost.of(write_virtually(load, 1))

    measured = (cost.requests, cost.write_units, cost.index_write_units, cost.read_units)

    # The first write of a process reads more: it does not know the feed.
    assert (2, units, for_the_index, 2) == pytest.approx(measured, rel=0.03)


def test_when_the_gain_falls_short_then_the_table_says_so() -> None:
    """A target that is missed is shown as missed."""
    one = Written(writes=10, seconds=1.0, latencies=[0.1])
    many = Written(writes=70, seconds=1.0, latencies=[0.1])
    held = Written(writes=80, seconds=1.0, latencies=[0.1])

    assert "MISSED" in tables(Figures({(1, 64): [one], (16, 64): [many]}, {}, one))
    assert "held" in tables(Figures({(1, 64): [one], (16, 64): [held]}, {}, one))
