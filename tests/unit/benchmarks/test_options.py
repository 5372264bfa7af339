"""The options that every benchmark has."""

from pathlib import Path

import pytest

from benchmarks.options import build_parser


def test_when_a_benchmark_has_options_of_its_own_then_the_common_ones_are_spelt_alike() -> None:
    """Date, rounds and output mean the same in each."""
    parser = build_parser("benchmarks.some", "Measures some.", rounds=7)
    parser.add_argument("--core", type=int)

    chosen = parser.parse_args(["--date", "2026-11-21", "--output", "results.json", "--core", "1"])

    assert ("2026-11-21", 7, Path("results.json"), 1) == (
        chosen.date,
        chosen.rounds,
        chosen.output,
        chosen.core,
    )


def test_when_no_day_is_given_then_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Results without a day could not be told from older ones."""
    with pytest.raises(SystemExit):
        build_parser("benchmarks.some", "Measures some.", rounds=7).parse_args([])

    assert "--date" in capsys.readouterr().err
