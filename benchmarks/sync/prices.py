"""What a record costs in each cloud: computed from list prices, which are inputs with a date.

Nothing here is measured but how long a load takes. Free grants, storage, logs and the data that
leaves AWS are left out; so is the authorizer, which a run calls once and whose answer is cached.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

PAGE_SIZE: Final = 500
PARTITIONS: Final = 16
CHANGES: Final = 10
_MILLION: Final = 1_000_000
_RECORDS_IN_A_FILTER: Final = 14
"""That Table Storage is asked about at once, see `stores/table_records.py`."""
_ITEM_BYTES: Final = 320
"""An airport in the table: 192 bytes of data, and its keys, times and names."""
_READ_UNIT_BYTES: Final = 4 * 1024
_LAMBDA_GB: Final = 1.0
"""As in infra/aws/template.yaml."""
_LAMBDA_SECONDS: Final = 0.1
"""To answer one page; assumed, not measured on AWS."""
_FUNCTION_GB: Final = 2.0


@dataclass(frozen=True, slots=True)
class Price:
    """A list price, before any free grant, and where it was read."""

    of: str
    dollars_per_million: float
    source: str
    read_on: str
    is_verified: bool
    """Whether the vendor's own page was read; if not, somebody's who quotes it."""


REST_REQUEST: Final = Price(
    "API Gateway, a REST API's request, us-east-1, the first 333 million a month",
    3.50,
    "https://docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration/cost-optimization.html",
    "2026-11-21",
    is_verified=True,
)
LAMBDA_REQUEST: Final = Price(
    "Lambda, a request",
    0.20,
    "https://aws.amazon.com/lambda/pricing/",
    "2026-11-21",
    is_verified=False,
)
LAMBDA_GB_SECOND: Final = Price(
    "Lambda, a GB-second on x86 (Arm, which the template asks for, costs less)",
    16.6667,
    "https://aws.amazon.com/lambda/pricing/",
    "2026-11-21",
    is_verified=False,
)
READ_UNIT: Final = Price(
    "DynamoDB on demand, a read request unit, us-east-1",
    0.125,
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "2026-11-21",
    is_verified=False,
)
WRITE_UNIT: Final = Price(
    "DynamoDB on demand, a write request unit, us-east-1",
    0.625,
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "2026-11-21",
    is_verified=False,
)
TABLE_TRANSACTION: Final = Price(
    "Table Storage, a transaction, locally redundant",
    0.036,
    "https://azure.microsoft.com/pricing/details/storage/tables/",
    "2026-11-21",
    is_verified=False,
)
FUNCTION_EXECUTION: Final = Price(
    "Functions, Flex Consumption on demand, an execution",
    0.40,
    "https://azure.microsoft.com/pricing/details/functions/",
    "2026-11-21",
    is_verified=False,
)
FUNCTION_GB_SECOND: Final = Price(
    "Functions, Flex Consumption on demand, a GB-second, East US",
    26.0,
    "https://azure.microsoft.com/pricing/details/functions/",
    "2026-11-21",
    is_verified=False,
)
PRICES: Final = (
    REST_REQUEST,
    LAMBDA_REQUEST,
    LAMBDA_GB_SECOND,
    READ_UNIT,
    WRITE_UNIT,
    TABLE_TRANSACTION,
    FUNCTION_EXECUTION,
    FUNCTION_GB_SECOND,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one part of the way costs."""

    title: str
    formula: str
    units: float
    price: Price

    @property
    def dollars(self) -> float:
        """Return units times price."""
        return self.units * self.price.dollars_per_million / _MILLION


def compute_costs(records_per_second: float | None) -> list[Cost]:
    """Return the costs of a million records that are new, of a million written, and of idle runs.

    Args:
        records_per_second: of a first load into Table Storage as measured; None if it was not.

    """
    pages = _MILLION / PAGE_SIZE
    read_units = ceil(PAGE_SIZE * _ITEM_BYTES / _READ_UNIT_BYTES) + 1
    per_partition = ceil(PAGE_SIZE / PARTITIONS)
    reads = PARTITIONS * ceil(per_partition / _RECORDS_IN_A_FILTER)
    first = "a million read:"
    written = "a million written:"
    idle = "a million runs without news:"
    ten = f"a million runs with {CHANGES} changes:"
    costs = [
        Cost(f"{first} API Gateway", f"a request for {PAGE_SIZE} records", pages, REST_REQUEST),
        Cost(f"{first} Lambda's requests", "the same", pages, LAMBDA_REQUEST),
        Cost(
            f"{first} Lambda's time",
            f"{_LAMBDA_GB:g} GB, {_LAMBDA_SECONDS:g} s a page (assumed)",
            pages * _LAMBDA_GB * _LAMBDA_SECONDS,
            LAMBDA_GB_SECOND,
        ),
        Cost(
            f"{first} DynamoDB",
            f"strongly consistent, {PAGE_SIZE} x {_ITEM_BYTES} B in 4 KiB, and the counter",
            pages * read_units,
            READ_UNIT,
        ),
        Cost(
            f"{first} Table Storage, first versions",
            f"a page: {PARTITIONS} transactions and the checkpoint",
            pages * (PARTITIONS + 1),
            TABLE_TRANSACTION,
        ),
        Cost(
            f"{first} the same, if each entity is charged",
            f"a page: {PAGE_SIZE} records, {PARTITIONS} guards, the checkpoint",
            pages * (PAGE_SIZE + PARTITIONS + 1),
            TABLE_TRANSACTION,
        ),
        Cost(
            f"{first} Table Storage, later versions",
            f"a page: {reads} queries more",
            pages * (reads + PARTITIONS + 1),
            TABLE_TRANSACTION,
        ),
        Cost(
            f"{written} DynamoDB, a new record",
            "2 for each of record, its index entry, counter and check (items below 1 KB)",
            8.0 * _MILLION,
            WRITE_UNIT,
        ),
        Cost(
            f"{written} DynamoDB, a changed one",
            "2 more: its index entry is deleted and written",
            10.0 * _MILLION,
            WRITE_UNIT,
        ),
        Cost(f"{written} DynamoDB's reads", "record and counter", 2.0 * _MILLION, READ_UNIT),
        Cost(f"{written} API Gateway", "a request each", float(_MILLION), REST_REQUEST),
        Cost(f"{idle} API Gateway", "a request each", float(_MILLION), REST_REQUEST),
        Cost(f"{idle} Functions' executions", "one each", float(_MILLION), FUNCTION_EXECUTION),
        Cost(
            f"{idle} Functions' time",
            f"{_FUNCTION_GB:g} GB, 1 s, the least that is charged",
            _MILLION * _FUNCTION_GB,
            FUNCTION_GB_SECOND,
        ),
        Cost(
            f"{ten} Table Storage",
            f"a query and a transaction for each of {CHANGES} partitions, checkpoint read and"
            " written, report, list of reports",
            _MILLION * (2.0 * CHANGES + 4),
            TABLE_TRANSACTION,
        ),
    ]
    if records_per_second is not None:
        costs.append(
            Cost(
                f"{first} Functions' time",
                f"{_FUNCTION_GB:g} GB at the {records_per_second:,.0f} records/s of this run",
                _FUNCTION_GB * _MILLION / records_per_second,
                FUNCTION_GB_SECOND,
            )
        )
    return costs
