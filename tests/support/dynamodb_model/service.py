"""What DynamoDB does with a request, one visible step after the other.

Each operation is a generator: it yields the seconds until its next step, and what happens between
two yields happens in one moment. Who drives it decides what else happens in between.
"""

import bisect
import json
from collections import Counter as Tally
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.dynamodb_model.expressions import (
    Item,
    Range,
    ValidationError,
    Words,
    comparable,
    holds,
    parse_key_condition,
    parse_projection,
    update,
)
from tests.support.dynamodb_model.tables import (
    Collection,
    Position,
    Slot,
    Table,
    read_units,
    size_of,
    write_units,
)
from tests.support.dynamodb_model.weather import Calm, Step, Weather

type Response = dict[str, Any]
type Request = Mapping[str, Any]
type Operation = Generator[float | Response, None, Response]
"""A response that it yields, and not returns, is one that comes before it is through."""

_MOST_PAGE_BYTES: Final = 1024 * 1024
_MOST_TRANSACTION_BYTES: Final = 4 * 1024 * 1024
_TOKEN_SECONDS: Final = 600.0
_BEHIND_ALL: Final = b"\xff" * 1025
"""Sorts after every sort key, which has at most 1,024 bytes."""
_CONFLICT: Final = "TransactionConflict"
_FAILED: Final = "ConditionalCheckFailed"
_ACTIONS: Final = frozenset({"Put", "Update", "Delete", "ConditionCheck"})
_EXPRESSION_PARAMETERS: Final = frozenset(
    {"TableName", "ExpressionAttributeNames", "ExpressionAttributeValues"}
)
_ON_FAILURE: Final = "ReturnValuesOnConditionCheckFailure"


class ServiceError(Exception):
    """What DynamoDB answers instead of a response."""

    def __init__(self, code: str, message: str, **members: Any) -> None:
        """Say which error, and what the answer holds besides."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.members = members


@dataclass(slots=True)
class Limits:
    """What one partition key may consume a second; a partition saves nothing for later here."""

    write_units: float = 1000.0
    read_units: float = 3000.0


@dataclass(slots=True)
class Consumed:
    """The capacity units that were consumed, by AWS's rules."""

    write_units: float = 0.0
    read_units: float = 0.0
    index_write_units: float = 0.0
    """Of the write units, those for the local indexes."""
    requests: Tally[str] = field(default_factory=Tally)


@dataclass(slots=True)
class _Bucket:
    write_units: float
    read_units: float
    filled_at: float


@dataclass(slots=True)
class _Action:
    """One action of a transaction, or a plain write."""

    kind: str
    table: Table
    key: tuple[Any, Any]
    request: Request
    words: Words

    def passes(self) -> bool:
        return holds(self.request.get("ConditionExpression"), self.slot.item, self.words)

    @property
    def slot(self) -> Slot:
        return self.table.slot(self.key)

    def result(self) -> Item | None:
        """Return the item as it will be, and raise ValidationError if it cannot be so."""
        match self.kind:
            case "Put":
                item = dict(self.request["Item"])
            case "Update":
                item = dict(
                    update(
                        self.request["UpdateExpression"],
                        self.request["Key"],
                        self.slot.item,
                        self.words,
                    )
                )
            case "ConditionCheck":
                return self.slot.item
            case _:
                return None
        self.table.check(item)
        return item


@dataclass(slots=True)
class _Idempotency:
    """What is remembered of a `ClientRequestToken`."""

    request: int
    """A digest of it."""
    done_at: float | None = None

    def is_over(self, now: float) -> bool:
        return self.done_at is not None and now - self.done_at > _TOKEN_SECONDS


class DynamoDbModel:
    """The service: tables, transactions in flight, and what was consumed."""

    def __init__(
        self,
        weather: Weather | None = None,
        *,
        limits: Limits | None = None,
        index_factor: int = 2,
        answers_early: bool = False,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Make a service without tables; without limits no partition is throttled.

        `index_factor` is what a transaction's index entries cost, times a plain write's: AWS says
        that a transaction doubles "every item", and not whether that is meant of indexes too.
        `answers_early` makes it another service than the paper's, whose coordinator waits for all
        commits before it answers: here the answer comes once they are decided.
        """
        self.weather = weather or Calm()
        self.now = now
        self.tables: dict[str, Table] = {}
        self.consumed = Consumed()
        self.conflicts = 0
        """How often an item was held by another transaction."""
        self.on_visible: Callable[[Table, Item | None], None] = lambda _table, _item: None
        """Called in the moment in which a write becomes visible."""
        self.limits = limits
        self._index_factor = index_factor
        self._answers_early = answers_early
        self._buckets: dict[tuple[str, Any], _Bucket] = {}
        self._tokens: dict[str, _Idempotency] = {}

    def begin(self, operation: str, request: Request) -> Operation:
        """Return the operation's steps; nothing has happened yet.

        Raises:
            NotImplementedError: the model does not know the operation, or a parameter of it.

        """
        self.consumed.requests[operation] += 1
        begin = {
            "CreateTable": self._create_table,
            "GetItem": self._get_item,
            "BatchGetItem": self._batch_get_item,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "DeleteItem": self._delete_item,
            "BatchWriteItem": self._batch_write_item,
            "TransactGetItems": self._transact_get_items,
            "TransactWriteItems": self._transact_write_items,
            "Query": self._query,
        }.get(operation)
        if begin is None:
            raise NotImplementedError(f"the model knows no {operation}")
        return self._answering_mistakes(begin(request))

    @staticmethod
    def _answering_mistakes(operation: Operation) -> Operation:
        try:
            return (yield from operation)
        except ValidationError as error:
            raise ServiceError("ValidationException", str(error)) from error

    def _create_table(self, request: Request) -> Operation:
        yield self.weather.delay(Step.ARRIVE)
        if request["TableName"] in self.tables:
            raise ServiceError("ResourceInUseException", "the table is there already")
        self.tables[request["TableName"]] = Table(request)
        return {}

    # --- reads ----------------------------------------------------------------------------------

    def _get_item(self, request: Request) -> Operation:
        _check_parameters(
            request, {"TableName", "Key", "ConsistentRead", "ProjectionExpression"} | _NAMES
        )
        yield self.weather.delay(Step.ARRIVE)
        yield self.weather.delay(Step.READ)
        table = self._table(request)
        is_consistent = bool(request.get("ConsistentRead"))
        item = self._read(table, table.key_of(request["Key"], is_key=True), is_consistent)
        found = self._project([item] if item is not None else [], request)
        yield self.weather.delay(Step.REPLY)
        return {"Item": found[0]} if found else {}

    def _batch_get_item(self, request: Request) -> Operation:
        _check_parameters(request, {"RequestItems"})
        yield self.weather.delay(Step.ARRIVE)
        wanted = [
            (name, keys, key)
            for name, keys in request["RequestItems"].items()
            for key in keys["Keys"]
        ]
        if not 1 <= len(wanted) <= 100:
            raise ValidationError("BatchGetItem takes 1 to 100 keys")
        asked = set()
        responses: dict[str, list[Item]] = {name: [] for name in request["RequestItems"]}
        unprocessed: dict[str, dict[str, Any]] = {}
        for name, keys in request["RequestItems"].items():
            _check_parameters(keys, {"Keys", "ConsistentRead", "ProjectionExpression"} | _NAMES)
            self._table({"TableName": name})
        for number, wait in self._spread(Step.READ, len(wanted)):
            # Each item is read by itself: between two of them anything may happen.
            yield wait
            name, keys, key = wanted[number]
            table = self._table({"TableName": name})
            place = table.key_of(key, is_key=True)
            if (name, place) in asked:
                raise ValidationError("Provided list of item keys contains duplicates")
            asked.add((name, place))
            try:
                item = self._read(table, place, bool(keys.get("ConsistentRead")))
            except ServiceError:
                rest = {member: value for member, value in keys.items() if member != "Keys"}
                unprocessed.setdefault(name, {**rest, "Keys": []})["Keys"].append(key)
                continue
            if item is not None:
                responses[name] += self._project([item], keys)
        yield self.weather.delay(Step.REPLY)
        if (
            unprocessed
            and not any(responses.values())
            and len(wanted) == sum(len(keys["Keys"]) for keys in unprocessed.values())
        ):
            raise _throttled()
        return {"Responses": responses, "UnprocessedKeys": unprocessed}

    def _transact_get_items(self, request: Request) -> Operation:
        # The paper, section 3.3: all items are read twice; if none is held and none was written in
        # between, the first reads show one moment.
        _check_parameters(request, {"TransactItems"})
        yield self.weather.delay(Step.ARRIVE)
        slots: list[Slot] = []
        for entry in request["TransactItems"]:
            _check_parameters(entry["Get"], {"TableName", "Key"})
            table = self._table(entry["Get"])
            key = table.key_of(entry["Get"]["Key"], is_key=True)
            self._consume_reads(table, key[0], 2 * read_units(table.slot(key).bytes))
            slots.append(table.slot(key))
        seen: list[tuple[Item | None, int]] = [(None, 0)] * len(slots)
        reasons = ["None"] * len(slots)
        for number, wait in self._spread(Step.READ, len(slots)):
            yield wait
            seen[number] = (slots[number].item, slots[number].writes)
            if slots[number].holder is not None or self.weather.conflicts_anyway():
                reasons[number] = _CONFLICT
        for number, wait in self._spread(Step.READ, len(slots)):
            yield wait
            if slots[number].holder is not None or slots[number].writes != seen[number][1]:
                reasons[number] = _CONFLICT
        yield self.weather.delay(Step.REPLY)
        if set(reasons) != {"None"}:
            raise _canceled([{"Code": reason} for reason in reasons])
        return {"Responses": [{"Item": dict(item)} if item else {} for item, _writes in seen]}

    def _query(self, request: Request) -> Operation:
        _check_parameters(
            request,
            {
                "TableName",
                "IndexName",
                "ConsistentRead",
                "Limit",
                "KeyConditions",
                "KeyConditionExpression",
                "ProjectionExpression",
                "ExclusiveStartKey",
                "ScanIndexForward",
            }
            | _EXPRESSION_PARAMETERS,
        )
        if request.get("ScanIndexForward") is False:
            raise NotImplementedError("the model reads an index upwards")
        yield self.weather.delay(Step.ARRIVE)
        table = self._table(request)
        index: str | None = request.get("IndexName")
        if index is not None and index not in table.indexes:
            raise ValidationError(f"The table does not have the specified index: {index}")
        words = _words(request)
        ranges = _key_ranges(request, words)
        if "ProjectionExpression" in request:
            parse_projection(request["ProjectionExpression"], words)
        words.check_used()
        partition, bounds = _split_ranges(table, index, ranges)
        collection = table.collections[partition]
        is_consistent = bool(request.get("ConsistentRead"))
        behind = {} if is_consistent else self._left_out(collection)
        at = _start_of(table, index, request)
        limit = request.get("Limit", 1_000_000)
        if limit < 1:
            raise ValidationError("Limit must be at least 1")
        items: list[Item] = []
        page_bytes = 0
        is_cut = False
        has_looked_on = False
        self._check_capacity(table, partition)
        while not is_cut:
            yield self.weather.delay(Step.READ)
            # The index moves while it is read: what is written behind this place is not seen.
            part = self._next_items(table, collection, index, at, bounds, behind)
            most = len(items) + self.weather.items_at_once()
            for position, item in part:
                items.append(item)
                page_bytes += size_of(item)
                at = position
                is_cut = len(items) >= limit or page_bytes >= _MOST_PAGE_BYTES
                if is_cut or len(items) >= most:
                    break
            else:
                # It may have passed places where nothing stood yet, and find what stands behind
                # them by now: only what is committed is promised of a query, and no one moment.
                places = self.weather.places_passed()
                if has_looked_on or not places:
                    break
                has_looked_on = True
                at = _passed(at, bounds, places)
        units = read_units(page_bytes)
        self._consume_reads(table, partition, units if is_consistent else units / 2)
        yield self.weather.delay(Step.REPLY)
        response: Response = {
            "Items": self._project(items, request),
            "Count": len(items),
            "ScannedCount": len(items),
        }
        if is_cut:
            names = {table.hash, table.range, *({table.indexes[index]} if index else ())}
            response["LastEvaluatedKey"] = {name: items[-1][name] for name in sorted(names)}
        return response

    def _next_items(
        self,
        table: Table,
        collection: Collection,
        index: str | None,
        after: Position | None,
        bounds: "_Bounds",
        behind: Mapping[Any, Item | None],
    ) -> Iterator[tuple[Position, Item]]:
        positions: Sequence[Position] = collection.indexes[index]
        if behind:
            shown = [each for each in positions if each[1] not in behind]
            earlier = (table.position(index, item, key) for key, item in behind.items())
            positions = sorted([*shown, *(each for each in earlier if each is not None)])
        number = (
            bisect.bisect_left(positions, bounds.low, key=lambda each: each[0])
            if bounds.low is not None
            else 0
        )
        if after is not None:
            number = max(number, bisect.bisect_right(positions, after))
        while number < len(positions):
            position = positions[number]
            if not bounds.holds_below(position[0]):
                return
            item = behind.get(position[1], collection.slots[position[1]].item)
            assert item is not None
            if bounds.holds_above(position[0]):
                yield position, item
            number += 1

    def _left_out(self, collection: Collection) -> dict[Any, Item | None]:
        """Return the items that this eventually consistent read shows as they were.

        AWS promises no order among items: "might not reflect the results of a recently completed
        write" is said of each.
        """
        behind: dict[Any, Item | None] = {}
        shown = set()
        for sort_key, before in reversed(collection.recent):
            if sort_key in shown or self.weather.shows_latest():
                shown.add(sort_key)
            else:
                behind[sort_key] = before
        return behind

    def _read(self, table: Table, key: tuple[Any, Any], is_consistent: bool) -> Item | None:  # noqa: FBT001
        self._check_capacity(table, key[0])
        slot = table.slot(key)
        units = read_units(slot.bytes)
        self._consume_reads(table, key[0], units if is_consistent else units / 2)
        if is_consistent:
            return slot.item
        return self._left_out(table.collections[key[0]]).get(key[1], slot.item)

    @staticmethod
    def _project(items: Sequence[Item], request: Request) -> list[Item]:
        if "ProjectionExpression" not in request:
            return [dict(item) for item in items]
        names = parse_projection(request["ProjectionExpression"], _words(request))
        return [{name: item[name] for name in names if name in item} for item in items]

    # --- writes ---------------------------------------------------------------------------------

    def _put_item(self, request: Request) -> Operation:
        return self._write_one("Put", request)

    def _update_item(self, request: Request) -> Operation:
        return self._write_one("Update", request)

    def _delete_item(self, request: Request) -> Operation:
        return self._write_one("Delete", request)

    def _write_one(self, kind: str, request: Request) -> Operation:
        yield self.weather.delay(Step.ARRIVE)
        action = self._action(kind, request)
        self._check_capacity(action.table, action.key[0])
        yield self.weather.delay(Step.COMMIT)
        if action.slot.holder is not None:
            self.conflicts += 1
            raise ServiceError(
                "TransactionConflictException", "Transaction is ongoing for the item"
            )
        is_passed = action.passes()
        result = action.result()
        action.words.check_used()
        if not is_passed:
            # "If a ConditionExpression evaluates to false [...] DynamoDB still consumes write
            # capacity units": those of the item that is there.
            self._consume_writes(action.table, action.key[0], write_units(action.slot.bytes))
            shown = self._shown_on_failure(action)
            yield self.weather.delay(Step.REPLY)
            raise ServiceError(
                "ConditionalCheckFailedException",
                "The conditional request failed",
                **shown,
            )
        self._make_visible(action, result, factor=1)
        yield self.weather.delay(Step.REPLY)
        return {}

    def _batch_write_item(self, request: Request) -> Operation:
        _check_parameters(request, {"RequestItems"})
        yield self.weather.delay(Step.ARRIVE)
        writes: list[tuple[str, Any]] = [
            (name, write) for name, group in request["RequestItems"].items() for write in group
        ]
        if not 1 <= len(writes) <= 25:
            raise ValidationError("BatchWriteItem takes 1 to 25 writes")
        actions = [
            self._action("Put", {"TableName": name, "Item": write["PutRequest"]["Item"]})
            if "PutRequest" in write
            else self._action("Delete", {"TableName": name, "Key": write["DeleteRequest"]["Key"]})
            for name, write in writes
        ]
        if len({(action.table.name, action.key) for action in actions}) < len(actions):
            raise ValidationError("Provided list of item keys contains duplicates")
        unprocessed: dict[str, list[Any]] = {}
        for number, wait in self._spread(Step.COMMIT, len(actions)):
            yield wait
            action = actions[number]
            if action.slot.holder is not None or self._has_no_capacity(action.table, action.key[0]):
                unprocessed.setdefault(action.table.name, []).append(writes[number][1])
                continue
            self._make_visible(action, action.result(), factor=1)
        yield self.weather.delay(Step.REPLY)
        return {"UnprocessedItems": unprocessed}

    def _transact_write_items(self, request: Request) -> Operation:
        _check_parameters(
            request, {"TransactItems", "ClientRequestToken", "ReturnItemCollectionMetrics"}
        )
        yield self.weather.delay(Step.ARRIVE)
        actions = self._transaction_actions(request)
        token = request.get("ClientRequestToken")
        if token is not None and self._is_done_already(token, request["TransactItems"]):
            yield self.weather.delay(Step.REPLY)
            return {}
        transaction = object()
        reasons = yield from self._prepare_all(actions, transaction, token)
        if any(reason["Code"] != "None" for reason in reasons):
            for number, wait in self._spread(Step.RELEASE, len(actions)):
                yield wait
                _release(actions[number], transaction)
            self._forget(token)
            yield self.weather.delay(Step.REPLY)
            raise _canceled(reasons)
        results = [action.result() for action in actions]
        if self._answers_early:
            yield {}
        for number, wait in self._spread(Step.COMMIT, len(actions)):
            yield wait
            # The table and its indexes show an item's write at once; the next item's comes later.
            action = actions[number]
            if action.kind != "ConditionCheck":
                self._make_visible(action, results[number], factor=2)
            _release(action, transaction)
        if token is not None:
            self._tokens[token].done_at = self.now()
        yield self.weather.delay(Step.REPLY)
        return self._metrics(actions) if request.get("ReturnItemCollectionMetrics") else {}

    def _prepare_all(
        self, actions: Sequence[_Action], transaction: object, token: str | None
    ) -> Generator[float, None, list[Response]]:
        """Hold each item for the transaction, and return for each "None" or why not."""
        reasons: list[Response] = [{"Code": "None"} for _ in actions]
        try:
            for number, wait in self._spread(Step.PREPARE, len(actions)):
                yield wait
                code = self._prepare(actions[number], transaction)
                shown = self._shown_on_failure(actions[number]) if code == _FAILED else {}
                reasons[number] = {"Code": code, **shown}
        except ValidationError:
            self._forget(token)
            for action in actions:
                _release(action, transaction)
            raise
        return reasons

    def _transaction_actions(self, request: Request) -> list[_Action]:
        actions = []
        for entry in request["TransactItems"]:
            ((kind, member),) = entry.items()
            if kind not in _ACTIONS:
                raise ValidationError(f"a transaction has no {kind}")
            actions.append(self._action(kind, member))
        if not 1 <= len(actions) <= 100:
            raise ValidationError("a transaction has 1 to 100 actions")
        if len({(action.table.name, action.key) for action in actions}) < len(actions):
            raise ValidationError(
                "Transaction request cannot include multiple operations on one item"
            )
        if sum(size_of(action.request.get("Item")) for action in actions) > _MOST_TRANSACTION_BYTES:
            raise ValidationError("a transaction's items have at most 4 MB")
        return actions

    def _is_done_already(self, token: str, actions: object) -> bool:
        """Return whether this very request is through; take note of it if it is new."""
        spelled = hash(json.dumps(actions, sort_keys=True, default=repr))
        known = self._tokens.get(token)
        if known is None or known.is_over(self.now()):
            self._tokens[token] = _Idempotency(spelled)
            return False
        if known.request != spelled:
            raise ServiceError(
                "IdempotentParameterMismatchException", "the token was of another request"
            )
        if known.done_at is None:
            raise ServiceError("TransactionInProgressException", "the request is in progress")
        return True

    def _forget(self, token: str | None) -> None:
        if token is not None:
            del self._tokens[token]

    def _prepare(self, action: _Action, transaction: object) -> str:
        """Hold the item for the transaction and return "None", or return why not."""
        slot = action.slot
        # A check writes nothing, and costs what a write of the item that is there would.
        action_bytes = size_of(action.request.get("Item"))
        units = write_units(max(slot.bytes, action_bytes))
        if self._has_no_capacity(action.table, action.key[0]):
            return "ThrottlingError"
        self._consume_writes(action.table, action.key[0], units)
        is_passed = action.passes()
        action.result()
        action.words.check_used()
        if slot.holder is not None or self.weather.conflicts_anyway():
            self.conflicts += 1
            return _CONFLICT
        if not is_passed:
            return _FAILED
        slot.holder = transaction
        if action.kind == "ConditionCheck":
            # The second of "two underlying reads or writes of every item".
            self._consume_writes(action.table, action.key[0], units)
        return "None"

    @staticmethod
    def _shown_on_failure(action: _Action) -> Response:
        """Return the item that made a condition fail, if the request asks to be told."""
        asked = action.request.get(_ON_FAILURE, "NONE") == "ALL_OLD"
        return {"Item": dict(action.slot.item)} if asked and action.slot.item is not None else {}

    def _make_visible(self, action: _Action, result: Item | None, *, factor: int) -> None:
        slot = action.slot
        units = write_units(max(slot.bytes, size_of(result)))
        for_indexes = action.table.write(action.key, result)
        # A transaction has paid for preparing the item already.
        self._consume_writes(action.table, action.key[0], units)
        times = self._index_factor if factor > 1 else 1
        self.consumed.index_write_units += times * for_indexes
        self._consume_writes(action.table, action.key[0], times * for_indexes)
        self.on_visible(action.table, result)

    def _metrics(self, actions: Sequence[_Action]) -> Response:
        metrics: dict[str, list[Any]] = {}
        for action in actions:
            gigabytes = action.table.collections[action.key[0]].bytes * 2 / 2**30
            key = action.request["Item"] if action.kind == "Put" else action.request["Key"]
            metrics.setdefault(action.table.name, []).append(
                {
                    "ItemCollectionKey": {action.table.hash: key[action.table.hash]},
                    "SizeEstimateRangeGB": [float(int(gigabytes)), float(int(gigabytes) + 1)],
                }
            )
        return {"ItemCollectionMetrics": metrics}

    def _action(self, kind: str, request: Request) -> _Action:
        own = {
            "Put": {"Item", "ConditionExpression", _ON_FAILURE},
            "Update": {"Key", "UpdateExpression", "ConditionExpression", _ON_FAILURE},
            "Delete": {"Key", "ConditionExpression", _ON_FAILURE},
            "ConditionCheck": {"Key", "ConditionExpression", _ON_FAILURE},
        }[kind]
        _check_parameters(request, own | _EXPRESSION_PARAMETERS)
        if kind == "ConditionCheck" and "ConditionExpression" not in request:
            raise ValidationError("a ConditionCheck needs a condition")
        table = self._table(request)
        if kind == "Put":
            table.check(request["Item"])
            key = table.key_of(request["Item"])
        else:
            key = table.key_of(request["Key"], is_key=True)
        return _Action(kind, table, key, request, _words(request))

    # --- capacity -------------------------------------------------------------------------------

    def _check_capacity(self, table: Table, partition: object) -> None:
        if self._has_no_capacity(table, partition):
            raise _throttled()

    def _has_no_capacity(self, table: Table, partition: object) -> bool:
        if self.weather.is_throttled():
            return True
        bucket = self._bucket(table, partition)
        return bucket is not None and min(bucket.write_units, bucket.read_units) < 0

    def _bucket(self, table: Table, partition: object) -> _Bucket | None:
        if self.limits is None:
            return None
        now, limits = self.now(), self.limits
        bucket = self._buckets.setdefault(
            (table.name, partition), _Bucket(limits.write_units, limits.read_units, now)
        )
        passed = now - bucket.filled_at
        bucket.filled_at = now
        bucket.write_units = min(
            limits.write_units, bucket.write_units + passed * limits.write_units
        )
        bucket.read_units = min(limits.read_units, bucket.read_units + passed * limits.read_units)
        return bucket

    def _consume_writes(self, table: Table, partition: object, units: float) -> None:
        self.consumed.write_units += units
        if (bucket := self._bucket(table, partition)) is not None:
            bucket.write_units -= units

    def _consume_reads(self, table: Table, partition: object, units: float) -> None:
        self.consumed.read_units += units
        if (bucket := self._bucket(table, partition)) is not None:
            bucket.read_units -= units

    # --- what both need -------------------------------------------------------------------------

    def _table(self, request: Request) -> Table:
        try:
            return self.tables[request["TableName"]]
        except KeyError:
            raise ServiceError(
                "ResourceNotFoundException", "Requested resource not found"
            ) from None

    def _spread(self, step: Step, count: int) -> Iterator[tuple[int, float]]:
        """Give each of so many parallel steps, in the order in which they end, and its wait."""
        ends = sorted((self.weather.delay(step), number) for number in range(count))
        before = 0.0
        for end, number in ends:
            yield number, end - before
            before = end


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a key condition says of the sort key."""

    low: Any = None
    high: Any = None
    excludes_low: bool = False
    excludes_high: bool = False

    def holds_above(self, value: Any) -> bool:
        return not (self.excludes_low and value == self.low)

    def holds_below(self, value: Any) -> bool:
        if self.high is None:
            return True
        return bool(value < self.high or (value == self.high and not self.excludes_high))


_NAMES: Final = frozenset({"ExpressionAttributeNames"})


def _check_parameters(request: Request, known: set[str] | frozenset[str]) -> None:
    unknown = set(request) - known
    if unknown:
        raise NotImplementedError(f"the model knows no {', '.join(sorted(unknown))} here")


def _words(request: Request) -> Words:
    return Words(
        request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    )


def _key_ranges(request: Request, words: Words) -> list[Range]:
    if ("KeyConditions" in request) == ("KeyConditionExpression" in request):
        raise ValidationError("a query has either KeyConditions or a KeyConditionExpression")
    if "KeyConditionExpression" in request:
        return parse_key_condition(request["KeyConditionExpression"], words)
    return [
        (name, condition["ComparisonOperator"], tuple(condition["AttributeValueList"]))
        for name, condition in request["KeyConditions"].items()
    ]


def _split_ranges(table: Table, index: str | None, ranges: list[Range]) -> tuple[Any, _Bounds]:
    """Return the partition key that the condition names, and what it says of the sort key."""
    sorted_by = table.indexes[index] if index is not None else table.range
    partition = None
    bounds = _Bounds()
    for name, operator, values in ranges:
        if len(values) != (2 if operator == "BETWEEN" else 1):
            raise ValidationError(f"{operator} does not take {len(values)} values")
        if name == table.hash and operator == "EQ":
            partition = comparable(values[0])
        elif name == sorted_by:
            bounds = _bounds(operator, [comparable(value) for value in values])
        else:
            raise ValidationError(f"Query key condition not supported: {name} {operator}")
    if partition is None or len({name for name, _operator, _values in ranges}) < len(ranges):
        raise ValidationError("a query names one partition key, and a key once")
    return partition, bounds


def _bounds(operator: str, values: list[Any]) -> _Bounds:
    match operator:
        case "EQ":
            return _Bounds(values[0], values[0])
        case "BETWEEN":
            if values[0] > values[1]:
                raise ValidationError("The BETWEEN operator requires the upper bound to be greater")
            return _Bounds(*values)
        case "GE" | "GT":
            return _Bounds(low=values[0], excludes_low=operator == "GT")
        case "LE" | "LT":
            return _Bounds(high=values[0], excludes_high=operator == "LT")
        case _:
            raise NotImplementedError(f"the model knows no {operator} in a key condition")


def _start_of(table: Table, index: str | None, request: Request) -> Position | None:
    start = request.get("ExclusiveStartKey")
    if start is None:
        return None
    return table.position(index, start, comparable(start[table.range]))


def _passed(at: Position | None, bounds: _Bounds, places: int) -> Position | None:
    """Return the place so many numbers further on, behind whatever may stand there."""
    number = at[0] if at is not None else bounds.low
    return (number + places, _BEHIND_ALL) if isinstance(number, int) else at


def _release(action: _Action, transaction: object) -> None:
    if action.slot.holder is transaction:
        action.slot.holder = None


def _canceled(reasons: Sequence[Response]) -> ServiceError:
    codes = [reason["Code"] for reason in reasons]
    return ServiceError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons {codes}",
        CancellationReasons=list(reasons),
    )


def _throttled() -> ServiceError:
    return ServiceError("ThrottlingException", "Throughput exceeds the partition's limit")
