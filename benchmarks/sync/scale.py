"""What calls and records cost; `python -m benchmarks.sync.scale` puts it into docs/scale.md.

The formula is here, once; prices that the sync's own costs need too are those of `prices.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

from benchmarks.sync.prices import (
    FUNCTION_EXECUTION,
    FUNCTION_GB_SECOND,
    LAMBDA_REQUEST,
    READ_UNIT,
    REST_REQUEST,
    TABLE_TRANSACTION,
    WRITE_UNIT,
    Cost,
    Price,
    compute_costs,
)
from emulator.aws.template import load_template

_CHECKOUT: Final = Path(__file__).parents[2]
PAGE: Final = _CHECKOUT / "docs" / "scale.md"
_QUOTED_BY_THE_MILLION: Final = 1_000.0
_MILLION: Final = 1_000_000
_KB_IN_GB: Final = 1024 * 1024
_READ_UNIT_KB: Final = 4
_DAY: Final = "2026-11-21"

ARM_GB_SECOND: Final = Price(
    "Lambda, a GB-second on Arm, which the template asks for",
    13.3333,
    "https://aws.amazon.com/lambda/pricing/",
    _DAY,
    is_verified=False,
)
LOG_GB: Final = Price(
    "CloudWatch Logs, a GB taken in, us-east-1",
    0.50 * _MILLION,
    "https://aws.amazon.com/cloudwatch/pricing/",
    _DAY,
    is_verified=False,
)
EGRESS_GB: Final = Price(
    "AWS, a GB that leaves it, the first 10 TB a month",
    0.09 * _MILLION,
    "https://aws.amazon.com/ec2/pricing/on-demand/",
    _DAY,
    is_verified=False,
)
TABLE_GB_MONTH: Final = Price(
    "DynamoDB, a GB and month on demand",
    0.25 * _MILLION,
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    _DAY,
    is_verified=False,
)
BACKUP_GB_MONTH: Final = Price(
    "DynamoDB, a GB and month of point-in-time recovery",
    0.20 * _MILLION,
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    _DAY,
    is_verified=False,
)
ALARM_MONTH: Final = Price(
    "CloudWatch, an alarm, a month",
    0.10 * _MILLION,
    "https://aws.amazon.com/cloudwatch/pricing/",
    _DAY,
    is_verified=False,
)
METRIC_MONTH: Final = Price(
    "CloudWatch, a metric of one's own, a month",
    0.30 * _MILLION,
    "https://aws.amazon.com/cloudwatch/pricing/",
    _DAY,
    is_verified=False,
)
SCALE_PRICES: Final = (
    REST_REQUEST,
    LAMBDA_REQUEST,
    ARM_GB_SECOND,
    READ_UNIT,
    WRITE_UNIT,
    LOG_GB,
    EGRESS_GB,
    TABLE_GB_MONTH,
    BACKUP_GB_MONTH,
    ALARM_MONTH,
    METRIC_MONTH,
    TABLE_TRANSACTION,
    FUNCTION_EXECUTION,
    FUNCTION_GB_SECOND,
)


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call to the API, and to the proxy if it goes through that."""

    title: str
    backend_seconds: float
    """What Lambda bills for the backend."""
    read_units: float
    write_units: float
    log_kb: float
    """Of all three log lines together."""
    answer_kb: float
    hit_rate: float
    """For which share of the calls API Gateway has kept the authorizer's answer."""
    authorizer_seconds: float = 0.005
    lambda_gb: float = 1.0
    """As in infra/aws/template.yaml."""
    proxy_gb: float = 0.0
    """Of the Function App's instance; none if the call does not come through the proxy."""
    proxy_seconds: float = 1.0
    """Flex Consumption bills a second at least while anything runs."""
    calls_at_once: int = 1
    """How many calls share the instance's second."""

    def costs(self) -> list[tuple[str, float]]:
        """Return each part of what a million of them costs, in dollars."""
        misses = 1 - self.hit_rate
        arm = ARM_GB_SECOND.dollars_per_million * self.lambda_gb
        parts = [
            ("gateway", REST_REQUEST.dollars_per_million),
            ("backend", LAMBDA_REQUEST.dollars_per_million + arm * self.backend_seconds),
            (
                "authorizer",
                misses * (LAMBDA_REQUEST.dollars_per_million + arm * self.authorizer_seconds),
            ),
            (
                "table",
                READ_UNIT.dollars_per_million * self.read_units
                + WRITE_UNIT.dollars_per_million * self.write_units,
            ),
            ("logs", LOG_GB.dollars_per_million * self.log_kb / _KB_IN_GB),
            ("egress", EGRESS_GB.dollars_per_million * self.answer_kb / _KB_IN_GB),
        ]
        if self.proxy_gb:
            gb_seconds = self.proxy_gb * self.proxy_seconds / self.calls_at_once
            parts.append(
                (
                    "Function App",
                    FUNCTION_EXECUTION.dollars_per_million
                    + FUNCTION_GB_SECOND.dollars_per_million * gb_seconds,
                )
            )
        return parts

    @property
    def dollars(self) -> float:
        """Return what a million of them costs."""
        return sum(dollars for _, dollars in self.costs())


CALLS: Final = (
    Call("one record, 1 KB; kept answers", 0.01, 1, 0, 1, 1, 1.0),
    Call("the same; every token is new", 0.01, 1, 0, 1, 1, 0.0),
    Call("one record, 20 KB", 0.01, ceil(20 / _READ_UNIT_KB), 0, 1, 20, 1.0),
    Call("a page of 500 airports", 0.1, 41, 0, 1, 160, 1.0),
    Call("a write of 1 KB, feed of one shard", 0.02, 2, 10, 1, 1, 1.0),
    Call("a write of 1 KB, several shards", 0.02, 2, 8, 1, 1, 1.0),
    Call("one record through the proxy, 2 GB, one at a time", 0.01, 1, 0, 1, 1, 1.0, proxy_gb=2.0),
    Call("the same, 512 MB", 0.01, 1, 0, 1, 1, 1.0, proxy_gb=0.5),
    Call(
        "the same, 512 MB, 16 at once",
        0.01,
        1,
        0,
        1,
        1,
        1.0,
        proxy_gb=0.5,
        calls_at_once=16,
    ),
)

_RUNS: Final = 12 * 24 * 30
"""A run every five minutes."""


def month(template: Mapping[str, Any]) -> list[Cost]:
    """Return what a month costs in which nobody calls, with the alarms of this template."""
    kinds = [resource["Type"] for resource in template["Resources"].values()]
    alarms, metrics = kinds.count("AWS::CloudWatch::Alarm"), kinds.count("AWS::Logs::MetricFilter")
    return [
        Cost("API Gateway: a request a run", "one each", _RUNS, REST_REQUEST),
        Cost("Lambda: the same", "one each", _RUNS, LAMBDA_REQUEST),
        Cost("Functions: a run every five minutes", "512 MB, 2 s", _RUNS, FUNCTION_GB_SECOND),
        Cost("the stack's alarms", f"{alarms}", alarms, ALARM_MONTH),
        Cost("the metrics out of its logs", f"{metrics}", metrics, METRIC_MONTH),
        Cost("a million records of 1 KB, with their index", "2 GB", 2, TABLE_GB_MONTH),
        Cost("their point-in-time recovery", "2 GB", 2, BACKUP_GB_MONTH),
    ]


def calls_table() -> str:
    """Return what a million calls of each kind cost, as a table in Markdown."""
    names = [name for name, _ in CALLS[-1].costs()]
    lines = [
        f"| A million of | {' | '.join(names)} | **together** |",
        f"|---|{'--:|' * (len(names) + 1)}",
    ]
    for call in CALLS:
        parts = dict(call.costs())
        cells = [f"{parts[name]:.2f}" if name in parts else "" for name in names]
        lines.append(f"| {call.title} | {' | '.join(cells)} | **{call.dollars:.2f}** |")
    return "\n".join(lines)


def records_table() -> str:
    """Return what a million records cost, as a table in Markdown."""
    lines = ["| | Counted | $ |", "|---|---|--:|"]
    lines += [
        f"| {cost.title} | {cost.formula} | {cost.dollars:.3f} |" for cost in compute_costs(None)
    ]
    return "\n".join(lines)


def month_table() -> str:
    """Return what a month costs in which nobody calls, as a table in Markdown."""
    costs = month(load_template(_CHECKOUT / "infra" / "aws" / "template.yaml"))
    lines = ["| A month without a call | Counted | $ |", "|---|---|--:|"]
    lines += [f"| {cost.title} | {cost.formula} | {cost.dollars:.2f} |" for cost in costs]
    together = sum(cost.dollars for cost in costs)
    lines.append(f"| **together** | | **{together:.2f}** |")
    return "\n".join(lines)


def prices_table() -> str:
    """Return every price that is used, as a table in Markdown."""
    lines = ["| What | $ | From | Read on | That page itself |", "|---|--:|---|---|---|"]
    lines += [
        f"| {price.of} | {_quote(price)} | [page]({price.source}) | {price.read_on} |"
        f" {'yes' if price.is_verified else '**no**'} |"
        for price in SCALE_PRICES
    ]
    return "\n".join(lines)


def _quote(price: Price) -> str:
    if price.dollars_per_million < _QUOTED_BY_THE_MILLION:
        return f"{price.dollars_per_million:.4g} a million"
    return f"{price.dollars_per_million / _MILLION:.2f}"


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "calls": calls_table,
    "records": records_table,
    "month": month_table,
    "prices": prices_table,
}


def with_tables(page: str) -> str:
    """Return the page with each of the tables, between its marks, as it is now."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, found, rest = page.partition(begin)
        _, closed, tail = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"the page has no marks {begin.strip()} and {end}")
        page = f"{head}{begin}\n{table()}\n\n{end}{tail}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
