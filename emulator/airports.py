"""The records that the demo and the tests move: the world's airports."""

from collections.abc import Iterator

import airportsdata


def load_airports() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield some 28,000 airports as (record ID, data), in the order of their ICAO codes."""
    airports = airportsdata.load("ICAO")
    for code in sorted(airports):
        yield code, dict(airports[code])
