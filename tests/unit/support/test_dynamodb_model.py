"""The model of DynamoDB does what AWS says of it, step by step."""

import threading
from random import Random
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from tests.support.dynamodb import create_table
from tests.support.dynamodb_model.client import ModelClient
from tests.support.dynamodb_model.drivers import Killed, RealTime, VirtualTime
from tests.support.dynamodb_model.service import DynamoDbModel, Limits, Operation, ServiceError
from tests.support.dynamodb_model.weather import Calm, FairWeather, Fate, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = "records"
NEW = "attribute_not_exists(id)"
SHOWN = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def item(collection: str, name: str, number: int, **members: Any) -> dict[str, Any]:
    """An item of the records' table."""
    return {
        "collection": {"S": collection},
        "id": {"S": name},
        "sequence": {"N": str(number)},
        **members,
    }


def key(collection: str, name: str) -> dict[str, Any]:
    """The key of an item."""
    return {"collection": {"S": collection}, "id": {"S": name}}


def put(collection: str, name: str, number: int, **members: Any) -> dict[str, Any]:
    """An action that puts an item."""
    return {"Put": {"TableName": TABLE, "Item": item(collection, name, number), **members}}


def check(collection: str, name: str, condition: str = "attribute_exists(id)") -> dict[str, Any]:
    """An action that checks an item."""
    return {
        "ConditionCheck": {
            "TableName": TABLE,
            "Key": key(collection, name),
            "ConditionExpression": condition,
        }
    }


class Fated(Calm):
    """Calls end as they are told to, one after the other, and then well."""

    def __init__(self, *fates: Fate) -> None:
        """Take these fates."""
        self._fates: Iterator[Fate] = iter(fates)

    def fate(self) -> Fate:
        """The next one."""
        return next(self._fates, Fate.ANSWERED)


class Service:
    """A model with an empty table, a client that is served at once, and steps taken by hand."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Make them."""
        self.model = DynamoDbModel(limits=limits)
        self.client = ModelClient(self.model).as_boto3()
        create_table(self.client, TABLE)

    def begin(self, *actions: dict[str, Any], token: str = "one") -> Operation:
        """A transaction that has not begun."""
        request = {"TransactItems": list(actions), "ClientRequestToken": token}
        return self.model.begin("TransactWriteItems", request)

    def numbers(self, *places: tuple[str, str]) -> list[int | None]:
        """What consistent reads show of these items."""
        found = [
            self.client.get_item(
                TableName=TABLE, Key=key(collection, name), ConsistentRead=True
            ).get("Item")
            for collection, name in places
        ]
        return [None if one is None else int(one["sequence"]["N"]) for one in found]

    def query(self, **members: Any) -> Any:
        """A query of collection `c` by the index."""
        return self.client.query(
            TableName=TABLE,
            IndexName="feed",
            ConsistentRead=True,
            KeyConditionExpression="#c = :c",
            ExpressionAttributeNames={"#c": "collection"},
            ExpressionAttributeValues={":c": {"S": "c"}},
            **members,
        )


@pytest.fixture
def service() -> Service:
    """A model with an empty table."""
    return Service()


def steps(operation: Operation, count: int) -> None:
    """Take so many steps of the operation."""
    for _ in range(count):
        next(operation)


def finish(operation: Operation) -> Any:
    """Take the rest of its steps, and return its response."""
    while True:
        try:
            next(operation)
        except StopIteration as stop:
            return stop.value


# A transaction of two items: arrives, prepares two, commits two, replies.
ONE_OF_TWO_VISIBLE = 5


def test_when_a_transaction_commits_then_its_items_become_visible_one_by_one(
    service: Service,
) -> None:
    """Between two of them a consistent read shows one and not the other."""
    transaction = service.begin(put("c", "a", 1), put("c", "b", 2))
    steps(transaction, 4)
    before = service.numbers(("c", "a"), ("c", "b"))
    steps(transaction, 1)
    between = service.numbers(("c", "a"), ("c", "b"))
    finish(transaction)

    assert [None, None] == before
    assert [1, None] == between
    assert [1, 2] == service.numbers(("c", "a"), ("c", "b"))


def test_when_an_item_is_visible_then_its_index_shows_it_too(service: Service) -> None:
    """A local index is part of its item's collection: it does not lag."""
    transaction = service.begin(put("c", "a", 1), put("c", "b", 2))
    steps(transaction, ONE_OF_TWO_VISIBLE)

    assert ["a"] == [found["id"]["S"] for found in service.query()["Items"]]


@pytest.mark.parametrize(
    "action", [put("c", "b", 7), check("c", "b", "attribute_not_exists(id)")], ids=["put", "check"]
)
def test_when_an_item_is_in_flight_then_another_transaction_conflicts(
    service: Service, action: dict[str, Any]
) -> None:
    """Whatever the other one wants of it, and it changes nothing."""
    transaction = service.begin(put("c", "a", 1), put("c", "b", 2))
    steps(transaction, ONE_OF_TWO_VISIBLE)

    with pytest.raises(service.client.exceptions.TransactionCanceledException) as caught:
        service.client.transact_write_items(TransactItems=[put("c", "z", 9), action])  # type: ignore[list-item]

    reasons = caught.value.response["CancellationReasons"]
    assert ["None", "TransactionConflict"] == [reason["Code"] for reason in reasons]
    finish(transaction)
    assert [2, None] == service.numbers(("c", "b"), ("c", "z"))


def test_when_an_item_is_only_checked_then_it_is_held_all_the_same(service: Service) -> None:
    """A ConditionCheck holds its item until its transaction is through."""
    service.client.put_item(TableName=TABLE, Item=item("c", "b", 1))
    transaction = service.begin(put("c", "a", 1), check("c", "b"))
    steps(transaction, 4)

    with pytest.raises(service.client.exceptions.TransactionConflictException):
        service.client.put_item(TableName=TABLE, Item=item("c", "b", 2))

    finish(transaction)
    service.client.put_item(TableName=TABLE, Item=item("c", "b", 2))
    assert [2] == service.numbers(("c", "b"))


def test_when_a_condition_fails_then_nothing_is_written_and_nothing_stays_held(
    service: Service,
) -> None:
    """All or nothing, and each action has its reason."""
    with pytest.raises(service.client.exceptions.TransactionCanceledException) as caught:
        service.client.transact_write_items(TransactItems=[put("c", "a", 1), check("c", "b")])  # type: ignore[list-item]

    reasons = caught.value.response["CancellationReasons"]
    assert ["None", "ConditionalCheckFailed"] == [reason["Code"] for reason in reasons]
    assert [None] == service.numbers(("c", "a"))
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 3))
    assert [3] == service.numbers(("c", "a"))


def test_when_a_condition_fails_then_the_request_may_be_shown_the_item(service: Service) -> None:
    """As it stood when it was checked; a conflict shows nothing."""
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 1))
    action = put("c", "a", 2, ConditionExpression=NEW, **SHOWN)
    with pytest.raises(service.client.exceptions.TransactionCanceledException) as caught:
        service.client.transact_write_items(TransactItems=[action])  # type: ignore[list-item]

    (reason,) = caught.value.response["CancellationReasons"]
    assert {"Code": "ConditionalCheckFailed", "Item": item("c", "a", 1)} == reason


def test_when_a_transaction_is_read_half_then_a_transaction_of_reads_conflicts(
    service: Service,
) -> None:
    """Reads in a transaction see all of another one, or nothing, or are told to come again."""
    transaction = service.begin(put("c", "a", 1), put("c", "b", 2))
    gets: Any = [
        {"Get": {"TableName": TABLE, "Key": key("c", "a")}},
        {"Get": {"TableName": TABLE, "Key": key("c", "b")}},
    ]
    steps(transaction, ONE_OF_TWO_VISIBLE)

    with pytest.raises(service.client.exceptions.TransactionCanceledException):
        service.client.transact_get_items(TransactItems=gets)

    finish(transaction)
    responses = service.client.transact_get_items(TransactItems=gets)["Responses"]
    assert ["1", "2"] == [response["Item"]["sequence"]["N"] for response in responses]


def test_when_a_token_comes_again_then_its_request_is_done_once(service: Service) -> None:
    """While it runs, the second is told so; after it, the second succeeds and does nothing."""
    first = service.begin(put("c", "a", 1))
    steps(first, 2)
    with pytest.raises(ServiceError, match="TransactionInProgressException"):
        finish(service.begin(put("c", "a", 1)))
    finish(first)
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 5))
    finish(service.begin(put("c", "a", 1)))

    assert [5] == service.numbers(("c", "a"))
    with pytest.raises(ServiceError, match="IdempotentParameterMismatchException"):
        finish(service.begin(put("c", "a", 2)))


def test_when_the_answer_is_lost_then_the_client_repeats_with_the_same_token(
    service: Service,
) -> None:
    """As botocore does: the condition that the first attempt has made false is not asked again."""
    service.model.weather = Fated(Fate.REPLY_LOST)
    service.client.transact_write_items(
        TransactItems=[put("c", "a", 1, ConditionExpression="attribute_not_exists(id)")]  # type: ignore[list-item]
    )

    assert [1] == service.numbers(("c", "a"))
    assert 2 == service.model.consumed.requests["TransactWriteItems"]


def test_when_the_answer_to_a_put_is_lost_then_the_client_finds_its_own_item(
    service: Service,
) -> None:
    """A plain put has no token."""
    service.model.weather = Fated(Fate.REPLY_LOST)

    with pytest.raises(service.client.exceptions.ConditionalCheckFailedException):
        service.client.put_item(
            TableName=TABLE,
            Item=item("c", "a", 1),
            ConditionExpression="attribute_not_exists(id)",
        )


def test_when_every_answer_is_lost_then_it_is_a_time_out(service: Service) -> None:
    """After three attempts, as the backend's client is set up."""
    service.model.weather = Fated(*[Fate.REQUEST_LOST] * 3)

    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        service.client.get_item(TableName=TABLE, Key=key("c", "a"))


def test_when_a_query_is_cut_then_it_goes_on_behind_its_last_key(service: Service) -> None:
    """The order is the index's; the key names table and index keys."""
    for number, name in enumerate("cab", start=1):
        service.client.put_item(TableName=TABLE, Item=item("c", name, number))
    first = service.query(Limit=2)
    rest = service.query(ExclusiveStartKey=first["LastEvaluatedKey"])

    assert ["c", "a"] == [found["id"]["S"] for found in first["Items"]]
    assert key("c", "a") | {"sequence": {"N": "2"}} == first["LastEvaluatedKey"]
    assert ["b"] == [found["id"]["S"] for found in rest["Items"]]
    assert "LastEvaluatedKey" not in rest


def test_when_a_page_has_a_megabyte_then_it_ends(service: Service) -> None:
    """With the item that makes it full."""
    for number in range(4):
        large = item("c", f"a{number}", number, text={"S": "x" * 390_000})
        service.client.put_item(TableName=TABLE, Item=large)

    assert 3 == service.query()["Count"]


@pytest.mark.parametrize(
    ("spelled", "values"),
    [
        ("#s BETWEEN :a AND :b", ["2", "3"]),
        ("#s > :a", ["1"]),
        ("#s >= :a", ["2"]),
    ],
)
def test_when_a_key_condition_is_an_expression_then_it_means_the_same(
    service: Service, spelled: str, values: list[str]
) -> None:
    """Both spellings of a key condition are read."""
    for number in (1, 2, 3):
        service.client.put_item(TableName=TABLE, Item=item("c", f"a{number}", number))
    named = dict(zip([":a", ":b"], [{"N": value} for value in values], strict=False))
    found = service.client.query(
        TableName=TABLE,
        IndexName="feed",
        KeyConditionExpression=f"#c = :c AND {spelled}",
        ExpressionAttributeNames={"#c": "collection", "#s": "sequence"},
        ExpressionAttributeValues={":c": {"S": "c"}, **named},
    )

    assert ["a2", "a3"] == [each["id"]["S"] for each in found["Items"]]


class Stale(Calm):
    """Eventually consistent reads show nothing that is new."""

    def shows_latest(self) -> bool:
        """Never."""
        return False


def test_when_a_read_is_eventually_consistent_then_it_may_show_what_was(service: Service) -> None:
    """And a consistent one never does."""
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 1))
    service.model.weather = Stale()
    eventual = service.client.get_item(TableName=TABLE, Key=key("c", "a"))

    assert "Item" not in eventual
    assert [1] == service.numbers(("c", "a"))


class Throttled(Calm):
    """So many requests find no capacity."""

    def __init__(self, times: int) -> None:
        """Count down."""
        self.times = times

    def is_throttled(self) -> bool:
        """While there are some left."""
        self.times -= 1
        return self.times >= 0


def test_when_a_batch_finds_capacity_for_a_part_then_the_rest_comes_back(service: Service) -> None:
    """UnprocessedKeys is what was asked for, to be asked for again."""
    for name in "ab":
        service.client.put_item(TableName=TABLE, Item=item("c", name, 1))
    service.model.weather = Throttled(1)
    wanted: Any = {TABLE: {"Keys": [key("c", "a"), key("c", "b")], "ConsistentRead": True}}
    response = service.client.batch_get_item(RequestItems=wanted)

    assert [item("c", "b", 1)] == response["Responses"][TABLE]
    assert {TABLE: {"Keys": [key("c", "a")], "ConsistentRead": True}} == response["UnprocessedKeys"]


def test_when_a_partition_is_used_up_then_it_throttles_and_others_do_not() -> None:
    """1,000 write units a second for each partition key, unless a test sets another limit."""
    service = Service(Limits(write_units=3, read_units=100))
    for _ in range(3):
        service.client.put_item(TableName=TABLE, Item=item("c", "a", 1))

    with pytest.raises(botocore.exceptions.ClientError, match="ThrottlingException"):
        service.client.put_item(TableName=TABLE, Item=item("c", "a", 1))
    service.client.put_item(TableName=TABLE, Item=item("d", "a", 1))


def test_when_items_are_written_and_read_then_they_cost_what_aws_says(service: Service) -> None:
    """A KB to write, 4 KB to read; an index entry that moves is two writes; transactions twice."""
    consumed = service.model.consumed
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 1))
    new = consumed.write_units
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 2))
    moved = consumed.write_units - new
    service.client.transact_write_items(TransactItems=[put("c", "a", 3), check("c", "b", NEW)])  # type: ignore[list-item]
    transaction = consumed.write_units - new - moved
    service.client.get_item(TableName=TABLE, Key=key("c", "a"), ConsistentRead=True)
    service.client.get_item(TableName=TABLE, Key=key("c", "a"))

    assert (2, 3, 8) == (new, moved, transaction)
    assert 1.5 == consumed.read_units


@pytest.mark.parametrize(
    ("operation", "request_", "error"),
    [
        ("Scan", {"TableName": TABLE}, NotImplementedError),
        ("GetItem", {"TableName": TABLE, "Key": {}, "AttributesToGet": []}, NotImplementedError),
        ("GetItem", {"TableName": TABLE, "Key": item("c", "a", 1)}, ServiceError),
        ("GetItem", {"TableName": "none", "Key": key("c", "a")}, ServiceError),
    ],
)
def test_when_a_request_is_not_known_then_it_is_refused(
    service: Service, operation: str, request_: dict[str, Any], error: type[Exception]
) -> None:
    """Nothing is answered by guessing."""
    with pytest.raises(error):
        finish(service.model.begin(operation, request_))


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("sequence = :n", "reserved keyword"),
        ("version = :m", ":m is not defined"),
        ("version = version", "unused in expressions: :n"),
        ("version = :n AND", "ends too early"),
        ("version = :n version", "is left over"),
    ],
)
def test_when_an_expression_is_wrong_then_it_is_refused(
    service: Service, condition: str, error: str
) -> None:
    """As DynamoDB refuses it."""
    with pytest.raises(botocore.exceptions.ClientError, match=error):
        service.client.put_item(
            TableName=TABLE,
            Item=item("c", "a", 1),
            ConditionExpression=condition,
            ExpressionAttributeValues={":n": {"N": "1"}},
        )


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("version = :n", True),
        ("version <> :n", False),
        ("version < :n OR attribute_exists(id)", True),
        ("NOT (version >= :n AND attribute_not_exists(gone))", False),
        ("version BETWEEN :n AND :n", True),
        ("gone = :n", False),
        ("gone <> :n", True),
        ("id = :n", False),
    ],
)
def test_when_a_condition_is_asked_then_it_is_answered_as_dynamodb_does(
    service: Service, condition: str, *, holds: bool
) -> None:
    """An attribute that is not there equals nothing; types are compared before values."""
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 1, version={"N": "1.0"}))
    try:
        service.client.put_item(
            TableName=TABLE,
            Item=item("c", "a", 2),
            ConditionExpression=condition,
            ExpressionAttributeValues={":n": {"N": "1"}},
        )
    except service.client.exceptions.ConditionalCheckFailedException:
        assert not holds
    else:
        assert holds


def test_when_an_item_is_updated_then_its_expression_is_carried_out(service: Service) -> None:
    """SET with sums and if_not_exists, and REMOVE."""
    service.client.put_item(TableName=TABLE, Item=item("c", "a", 1, gone={"S": "x"}))
    service.client.update_item(
        TableName=TABLE,
        Key=key("c", "a"),
        UpdateExpression="SET #s = #s + :n, seen = if_not_exists(seen, :n) REMOVE gone",
        ExpressionAttributeNames={"#s": "sequence"},
        ExpressionAttributeValues={":n": {"N": "4"}},
    )
    found = service.client.get_item(TableName=TABLE, Key=key("c", "a"), ConsistentRead=True)

    assert item("c", "a", 5, seen={"N": "4"}) == found["Item"]


def test_when_a_caller_is_killed_then_what_it_asked_for_goes_on() -> None:
    """The table does not know that nobody waits."""
    driver = VirtualTime()
    service = Service()
    service.model.weather = Fated(Fate.KILLED)
    client = ModelClient(service.model, driver)
    ends: list[str] = []

    def write() -> None:
        try:
            client.transact_write_items(TransactItems=[put("c", "a", 1)])
        except Killed:
            ends.append("killed")

    driver.spawn(write)
    driver.run()

    assert ["killed"] == ends
    assert [1] == service.numbers(("c", "a"))


def test_when_a_caller_fails_then_the_run_fails_and_leaves_no_thread() -> None:
    """An error in one ends them all, and is the run's."""
    before = threading.active_count()
    driver = VirtualTime()

    def fail() -> None:
        driver.sleep(1.0)
        raise LookupError("as it must")

    driver.spawn(fail)
    driver.spawn(lambda: driver.sleep(5.0))
    with pytest.raises(LookupError):
        driver.run()

    assert before == threading.active_count()


@pytest.mark.parametrize("operation", ["get", "transact"])
def test_when_the_weather_is_fair_then_calls_take_what_the_latencies_say(operation: str) -> None:
    """Some 4 ms for a read and 12 ms for a transaction of three, in the middle."""
    driver = VirtualTime()
    service = Service()
    service.model.weather = FairWeather(Random(1))  # noqa: S311 - draws latencies
    client = ModelClient(service.model, driver)
    taken: list[float] = []

    def call() -> None:
        for _ in range(99):
            began = driver.now()
            if operation == "get":
                client.get_item(TableName=TABLE, Key=key("c", "a"), ConsistentRead=True)
            else:
                client.transact_write_items(
                    TransactItems=[put("c", "a", 1), put("d", "a", 1), check("c", "b", NEW)]
                )
            taken.append(1000 * (driver.now() - began))

    driver.spawn(call)
    driver.run()

    assert {"get": 4.0, "transact": 12.0}[operation] == pytest.approx(sorted(taken)[49], rel=0.1)


def test_when_time_is_real_then_the_model_sleeps_as_long_as_its_steps_take() -> None:
    """The same steps, and the same answers."""
    slept: list[float] = []
    service = Service()
    service.model.weather = FairWeather(Random(1))  # noqa: S311 - draws latencies
    client = ModelClient(service.model, RealTime(slept.append))
    client.put_item(TableName=TABLE, Item=item("c", "a", 1))

    assert 3 == len(slept)
    assert service.model.weather.delay(Step.READ) == 0.0
    service.model.weather = Calm()
    assert [1] == service.numbers(("c", "a"))
