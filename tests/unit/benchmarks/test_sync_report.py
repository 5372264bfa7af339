"""What the sync's benchmark promises, judged from what was measured."""

from collections.abc import Mapping

import pytest

from benchmarks.sync.contenders import Loads, Sample, Store
from benchmarks.sync.instances import InstanceLoads
from benchmarks.sync.prices import PRICES, compute_costs
from benchmarks.sync.report import Figures, tables


def loads(seconds: float, *, peak_mib: float = 60.0, requests: int = 1) -> Loads:
    """A first load of so many seconds, and an increment."""
    first = Sample(seconds, seconds, peak_mib, 57, 0.1)
    return Loads(first, Sample(0.1, 0.1, peak_mib, requests, 0.0))


def figures(
    by_size: Mapping[int, Mapping[str, list[Loads]]], store: Store = Store.SQLITE
) -> Figures:
    """Figures of one store."""
    return Figures({store: by_size}, compute_costs(1_000.0))


@pytest.mark.parametrize(
    ("store", "seconds", "is_held"),
    [
        (Store.SQLITE, 1.25, True),
        (Store.SQLITE, 1.26, False),
        (Store.TABLE, 0.76, True),
        (Store.TABLE, 0.78, False),
    ],
)
def test_when_the_bridge_is_as_quick_as_promised_then_the_target_is_held(
    store: Store, seconds: float, *, is_held: bool
) -> None:
    """At least 0.8 times the plain loop's speed into SQLite, 1.3 times into Table Storage."""
    by_name = {"bridge": [loads(seconds)], "plain_loop": [loads(1.0)]}

    [pace, _] = figures({28_403: by_name}, store).targets()

    assert is_held == pace.is_held


def test_when_rounds_differ_then_the_ratio_is_the_median_of_their_own() -> None:
    """What slows a whole round cancels."""
    by_name = {
        "bridge": [loads(2.0), loads(20.0), loads(1.0)],
        "plain_loop": [loads(1.0), loads(10.0), loads(1.0)],
    }

    [pace, _] = figures({28_403: by_name}).targets()

    assert pace.measured == pytest.approx(0.5)


def test_when_few_records_are_loaded_then_speed_is_not_judged() -> None:
    """What a process does once counts for more than the load then."""
    by_name = {"bridge": [loads(9.0)], "plain_loop": [loads(1.0)]}

    assert ["requests"] == [
        target.name.split()[1] for target in figures({1_000: by_name}).targets()
    ]


def test_when_an_increment_takes_two_requests_in_one_round_then_the_target_is_missed() -> None:
    """The most of all rounds counts."""
    by_name = {"bridge": [loads(1.0), loads(1.0, requests=2)], "plain_loop": [loads(1.0)] * 2}

    assert [False] == [target.is_held for target in figures({1_000: by_name}).targets()]


@pytest.mark.parametrize(("peak_mib", "is_held"), [(80.0, True), (80.1, False)])
def test_when_memory_grows_with_the_records_then_the_target_says_so(
    peak_mib: float, *, is_held: bool
) -> None:
    """At most 20 MiB more at the most records than at the fewest."""
    few = {"bridge": [loads(1.0)], "plain_loop": [loads(1.0)]}
    many = {"bridge": [loads(1.0, peak_mib=peak_mib)], "plain_loop": [loads(1.0)]}

    *_, memory = figures({1_000: few, 10_000: many}).targets()

    assert is_held == memory.is_held


@pytest.mark.parametrize(("many", "is_held"), [(4.0, True), (4.1, False)])
def test_when_four_instances_load_then_they_are_held_to_what_one_takes(
    many: float, *, is_held: bool
) -> None:
    """At least 2.5 times as fast."""
    loaded = Figures({}, [], InstanceLoads(50_000, one=10.0, many=many))

    [spread] = loaded.targets()

    assert is_held == spread.is_held
    assert f"| 4 instances | {many:.2f} |" in tables(loaded)


def test_when_tables_are_made_then_the_targets_come_first() -> None:
    """Ratios first, then what they were made of."""
    by_name = {"bridge": [loads(1.0)], "plain_loop": [loads(1.0)]}

    text = tables(figures({28_403: by_name}))

    assert text.startswith("### Targets")
    assert "held" in text


def test_when_costs_are_computed_then_every_price_is_used_and_has_a_page_and_a_day() -> None:
    """A price without a source would be a number that nobody can check."""
    used = {cost.price for cost in compute_costs(1_000.0)}

    assert set(PRICES) == used
    assert all(price.source.startswith("https://") and price.read_on for price in PRICES)
