"""The benchmark of what large bodies take of memory."""

from benchmarks.client.large_bodies import Peak, render


def test_when_peaks_are_rendered_then_each_stands_beside_what_it_is_above_idle() -> None:
    """The first is the idle function's; what a caller takes is the rest, shared."""
    table = render([Peak(0, 60.0), Peak(4, 220.4)])

    assert [
        "| 0 | 60 | 0 |  |",
        "| 4 | 220 | 160 | 40 |",
    ] == table.splitlines()[2:]
