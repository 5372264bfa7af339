"""Gives a restored table a feed of its own, and makes that feed whole, shard by shard.

A backup copies the feed's ID, and may hold part of a transaction: docs/adr/0002-change-feed.md.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aws_backend.cursor import FEED_ID_BYTES
from aws_backend.feed.feed_table import read_counter
from aws_backend.feed_upkeep.counters import (
    BusyError,
    HeldFeed,
    NotHeldError,
    put_over,
    read_counters,
    replace_counter,
)
from aws_backend.feed_upkeep.resharding import (
    DifferingCopiesError,
    is_misplaced,
    move_to_their_shards,
    read_shard,
)
from aws_backend.record_import import ImportUnfinishedError
from aws_backend.table_layout import (
    MAX_SHARDS,
    Counter,
    FeedState,
    counter_key,
    record_key,
    records_collection,
)
from shared.clock import Clock, SystemClock
from shared.formats.rfc3339 import format_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UpdateTypeDef

_ATTEMPTS: Final = 30
_PAUSE_SECONDS: Final = 0.1
_PART_OF_AN_IMPORT: Final = frozenset({FeedState.IMPORTING, FeedState.IMPORT_FAILED})


class FeedRenewalError(Exception):
    """The feed was not renewed; run it again."""

    code = "feed_renewal_failed"


class MisplacedRecordsError(FeedRenewalError):
    """Records lie outside the shards that they belong to; the feed is closed until they moved."""

    code = "records_misplaced"


@dataclass(frozen=True, slots=True)
class RenewedFeed:
    """What a renewal found and left."""

    records: int
    """Tombstones included."""
    sequences: tuple[int, ...]
    """The highest of each shard's records."""
    lost_changes: int
    """How many counters named a change that the backup does not hold: at most one a shard."""
    records_moved: int
    """How many had a place in their shard that another record has too, and got one at its end."""
    records_resharded: int = 0
    """How many were copied into the shard that they belong to, from another one."""


def renew_feed(
    client: "DynamoDBClient",
    table: str,
    *,
    shards: int | None = None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> RenewedFeed:
    """Give the table's feed a new ID, make it whole, and return what was found.

    Every cursor expires, so every reader starts over. Readers and writers get 503 while the whole
    index is read. A renewal that was killed leaves it so, until the next one is through; of two at
    once the later one goes through.

    With `shards`, the feed has that many from then on, and each record is moved into its own one.
    Without, the number stays, and no record changes its shard.

    Raises:
        FeedRenewalError: others came first, again and again, or another renewal has taken over.
        MisplacedRecordsError: records lie outside their shards, and `shards` was not given; or one
            lies in two of them with different contents.
        ImportUnfinishedError: the table holds part of an import.
        ValueError: no feed can have that number of shards.

    """
    if shards is not None and not 1 <= shards <= MAX_SHARDS:
        raise ValueError(f"a feed has 1 to {MAX_SHARDS} shards, not {shards}")
    now = format_rfc3339((clock or SystemClock()).now())
    try:
        return _renew(client, table, shards, now, sleep)
    except NotHeldError as error:
        raise FeedRenewalError(
            f"Another renewal of {table} has taken over; wait for that one"
        ) from error
    except BusyError as error:
        raise FeedRenewalError(
            f"DynamoDB is too busy for {table}, and the feed stays closed; run it again"
        ) from error


def _renew(
    client: "DynamoDBClient",
    table: str,
    shards: int | None,
    now: str,
    sleep: Callable[[float], None],
) -> RenewedFeed:
    claims = _claim_all(client, table, shards, now, sleep)
    first = claims[0]
    held = HeldFeed(client, table, first, sleep)
    lost = sum(
        not _shows_last_change(client, table, shard, claim, sleep)
        for shard, claim in claims.items()
    )
    found = [
        _survey(client, table, shard, first.shards, claims.get(shard))
        for shard in range(MAX_SHARDS)
    ]
    if shards is None:
        _check_placed(table, found, first.shards)
    ends = [shard.highest for shard in found[: first.shards]]
    before = list(ends)
    doubles = 0
    for shard, survey in enumerate(found[: first.shards]):
        for record_id, sequence in survey.doubles:
            ends[shard] += 1
            _move(held, shard, record_id, sequence, ends[shard])
            doubles += 1
    sources = [shard for shard, survey in enumerate(found) if survey.misplaced]
    resharded = _reshard(held, ends, sources)
    # Where nothing was added, the counter may name a change that is lost or has moved away, and no
    # reader would ever come to its place.
    ends = [
        end if end > earlier else survey.last
        for end, earlier, survey in zip(ends, before, found, strict=False)
    ]
    _open(held, claims, ends)
    records = sum(survey.in_place for survey in found) + resharded
    return RenewedFeed(records, tuple(ends), lost, doubles, resharded)


def _claim_all(
    client: "DynamoDBClient",
    table: str,
    shards: int | None,
    now: str,
    sleep: Callable[[float], None],
) -> dict[int, Counter]:
    """Close the feed under a new ID: no transaction that was begun before commits any more.

    The first counter is claimed first, and each other one only while that one is held: whoever
    takes over begins with it.
    """
    new_id = secrets.token_bytes(FEED_ID_BYTES)
    for _ in _attempts(sleep):
        seen = read_counters(client, table, sleep=sleep)
        _check_not_imported(table, seen)
        number = _number_of_shards(table, seen) if shards is None else shards
        claim = _claim_of(seen.get(0), Counter(new_id, 0, "", FeedState.RENEWING, now, number))
        if replace_counter(client, table, seen.get(0), claim):
            break
    else:
        raise FeedRenewalError(f"Writers of {table} came first every time; run it again")
    claims = {0: claim}
    for shard in sorted({*range(1, number), *seen} - {0}):
        claims[shard] = _claim_other(HeldFeed(client, table, claim, sleep), shard)
    return claims


def _claim_other(held: HeldFeed, shard: int) -> Counter:
    for _ in _attempts(held.sleep):
        first = read_counter(held.client, held.table)
        if first is None or first.feed_id != held.claim.feed_id:
            raise NotHeldError
        # What this very renewal has put there, and did not hear of, is replaced by itself.
        seen = read_counter(held.client, held.table, shard)
        claim = _claim_of(seen, held.claim)
        with contextlib.suppress(NotHeldError):
            held.commit({"Put": put_over(held.table, seen, claim, shard)})
            return claim
    raise FeedRenewalError(f"Writers of {held.table} came first every time; run it again")


def _claim_of(seen: Counter | None, claim: Counter) -> Counter:
    return replace(
        claim, sequence=seen.sequence if seen else 0, last_id=seen.last_id if seen else ""
    )


def _check_not_imported(table: str, seen: Mapping[int, Counter]) -> None:
    part = {shard for shard, counter in seen.items() if counter.state in _PART_OF_AN_IMPORT}
    if 0 in part:
        raise ImportUnfinishedError(
            f"{table} holds part of an import; import the records once more"
        )
    if part:
        raise ImportUnfinishedError(
            f"Shard {min(part)} of {table} holds part of an import, which had ended by the rest of"
            " the backup; restore to a later time"
        )


def _number_of_shards(table: str, seen: Mapping[int, Counter]) -> int:
    """Return how many shards the feed has: what its first counter says, or all the others do."""
    if 0 in seen:
        return seen[0].shards
    numbers = {counter.shards for counter in seen.values()} or {1}
    if len(numbers) > 1:
        raise FeedRenewalError(
            f"The first counter of {table} is gone, and the others do not agree on how many shards"
            " the feed has; say it with --shards"
        )
    return numbers.pop()


def _shows_last_change(
    client: "DynamoDBClient",
    table: str,
    shard: int,
    claim: Counter,
    sleep: Callable[[float], None],
) -> bool:
    """Return whether the record of the last change shows it, once its transaction is through."""
    if not claim.last_id:
        return True
    for _ in _attempts(sleep):
        try:
            # Reads in a transaction see all of another one or nothing; a plain read may see half.
            response = client.transact_get_items(
                TransactItems=[
                    {"Get": {"TableName": table, "Key": counter_key(shard)}},
                    {"Get": {"TableName": table, "Key": record_key(claim.last_id, shard)}},
                ]
            )
        except client.exceptions.TransactionCanceledException:
            continue
        record = response["Responses"][1].get("Item")
        return record is not None and int(record["sequence"]["N"]) >= claim.sequence
    raise FeedRenewalError(f"The last change of {table} is still being applied; run it again")


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a shard's collection holds."""

    in_place: int
    last: int
    """The highest sequence of a record that is in place."""
    highest: int
    """The highest of any, and of the counter's."""
    doubles: tuple[tuple[str, int], ...]
    misplaced: int
    example: str
    """One of the misplaced records, and where it is."""


def _survey(
    client: "DynamoDBClient", table: str, shard: int, shards: int, claim: Counter | None
) -> _Survey:
    in_place, misplaced, previous = 0, 0, 0
    highest, example = claim.sequence if claim else 0, ""
    doubles = []
    for item in read_shard(client, table, shard, "id, #sequence"):
        record_id, sequence = item["id"]["S"], int(item["sequence"]["N"])
        highest = max(highest, sequence)
        if is_misplaced(record_id, shard, shards):
            misplaced += 1
            example = example or f"{record_id} in {records_collection(shard)}"
            continue
        in_place += 1
        if sequence == previous:
            doubles.append((record_id, sequence))
        previous = sequence
    return _Survey(in_place, previous, highest, tuple(doubles), misplaced, example)


def _check_placed(table: str, found: list[_Survey], shards: int) -> None:
    """Raise MisplacedRecordsError if a record lies where the API does not look for it."""
    count = sum(survey.misplaced for survey in found)
    if count:
        example = next(survey.example for survey in found if survey.misplaced)
        raise MisplacedRecordsError(
            f"{count} records of {table} lie outside the shards that they belong to, such as"
            f" {example}, and the feed stays closed: bridge feed renew --table {table}"
            f" --shards {shards} moves them; say another number if it has never been that one"
        )


def _move(held: HeldFeed, shard: int, record_id: str, old: int, new: int) -> None:
    """Give the record another place in its shard, as long as the feed is ours."""
    update: UpdateTypeDef = {
        "TableName": held.table,
        "Key": record_key(record_id, shard),
        "UpdateExpression": "SET #sequence = :new",
        "ConditionExpression": "#sequence = :old",
        "ExpressionAttributeNames": {"#sequence": "sequence"},
        "ExpressionAttributeValues": {":old": {"N": str(old)}, ":new": {"N": str(new)}},
    }
    held.commit({"Update": update})


def _reshard(held: HeldFeed, ends: list[int], sources: list[int]) -> int:
    try:
        return move_to_their_shards(held, ends, sources)
    except DifferingCopiesError as error:
        raise MisplacedRecordsError(
            f"Two records of {held.table} have one ID and different contents, {error} being where"
            " it does not belong; delete the wrong one of them, and run it again"
        ) from error


def _open(held: HeldFeed, claims: Mapping[int, Counter], ends: list[int]) -> None:
    """Open the feed; the counter that every reader and writer begins with comes last."""
    shards = held.claim.shards
    for shard in sorted(claims, reverse=True):
        if shard >= shards:
            held.commit({"Delete": {"TableName": held.table, "Key": counter_key(shard)}})
            continue
        # No writer waits for a last change: it is there by now, or it was lost with the backup.
        renewed = Counter(held.claim.feed_id, ends[shard], "", shards=shards)
        for _ in _attempts(held.sleep):
            if replace_counter(held.client, held.table, claims[shard], renewed, shard):
                break
            # A transaction that is refused in the end may have been at it, such as another claim.
            if read_counter(held.client, held.table, shard) != claims[shard]:
                raise NotHeldError
        else:
            raise BusyError


def _attempts(sleep: Callable[[float], None]) -> Iterator[int]:
    for attempt in range(_ATTEMPTS):
        if attempt > 0:
            sleep(_PAUSE_SECONDS)
        yield attempt
