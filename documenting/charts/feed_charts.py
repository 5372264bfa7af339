"""The change feed's writers: what shards bring."""

from collections.abc import Iterable
from typing import Final

from documenting.charts.chart import Chart, Group, Role, Row
from documenting.charts.results import Document, Results, target

_PROMISE: Final = "64 writers: writes a second with 16 shards, times those with one"


def feed_charts(results: Results) -> Iterable[Chart]:
    """Return the feed's charts."""
    promise = target(results.feed_targets(), _PROMISE)
    measured = results.feed["by_shards_and_writers"]

    def row(each: Document) -> Row:
        times = each["times_one_shard"]
        text = f"{times:.1f} ({each['writes_per_second']:,.0f} writes/s)"
        is_promised = (each["shards"], each["writers"]) == (16, 64)
        if is_promised:
            text += f"; {promise.bound_text} promised, {promise.outcome}"
        label = "1 shard" if each["shards"] == 1 else f"{each['shards']} shards"
        role = Role.OURS if each["shards"] > 1 else Role.PEER
        return Row(label, times, text, role, target=promise.bound if is_promised else None)

    writers = sorted({each["writers"] for each in measured}, reverse=True)
    yield Chart(
        name="feed-shards",
        title="Writes a second to the change feed, by shards",
        subtitle="On a model with DynamoDB's latencies. Shards help where many write at once.",
        axis="times the writes a second with one shard (more is better)",
        groups=tuple(
            Group(
                tuple(row(each) for each in measured if each["writers"] == count),
                "1 writer" if count == 1 else f"{count} writers",
            )
            for count in writers
        ),
        legend=((Role.OURS, "several shards"), (Role.PEER, "one shard, which is 1.0")),
    )
