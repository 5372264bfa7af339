"""What the soak holds against the function: what finds no fault must be able to find one."""

import json
from collections import Counter

import pytest

from benchmarks.client.soak import Resources, Soak, what_is_wrong

MARK = "caller-1-2"
TARGET = f"/v1/records/{MARK}?padding=3"
OWN = {"target": f"/prod{TARGET}", "request_id": MARK, "padding": "..."}
FLAT = [Resources(70.0, 271)] * 9


def soak(**found: object) -> Soak:
    """A soak without a fault, but for what is given."""
    good = {"answers": Counter({"200": 9}), "samples": FLAT, "revived_seconds": 4.9}
    return Soak(200, **(good | found))  # type: ignore[arg-type]  # each test gives what fits


def test_when_everything_is_right_then_there_is_nothing_to_say() -> None:
    """Neither against an answer nor against the whole."""
    assert what_is_wrong(200, {"X-Request-Id": MARK}, json.dumps(OWN), MARK, TARGET) is None
    assert [] == list(soak().problems())


@pytest.mark.parametrize(
    ("status", "headers", "changed", "complaint"),
    [
        (200, {"X-Request-Id": "caller-9"}, {}, "200 with the request ID caller-9"),
        (200, {}, {}, "200 with the request ID None"),
        (200, {}, {"request_id": "caller-9"}, "200 that says the request ID caller-9"),
        (200, {}, {"target": "/prod/v1/records/b?padding=3"}, "200 for /prod/v1/records/b"),
        (200, {}, {"padding": ".."}, "200 for /prod/v1/records/caller-1-2"),
        (404, {}, {"code": "not_found"}, "404 not_found"),
        (429, {}, {"code": "throttled"}, "429 throttled"),
        (503, {}, {"code": "overloaded"}, "503 without Retry-After"),
    ],
)
def test_when_an_answer_is_not_its_callers_then_that_is_said(
    status: int, headers: dict[str, str], changed: dict[str, str], complaint: str
) -> None:
    """Another caller's answer, a cut one, and one that the function must not give."""
    given = headers if "request ID" in complaint and not changed else {"X-Request-Id": MARK}

    found = what_is_wrong(status, given, json.dumps(OWN | changed), MARK, TARGET)

    assert found is not None
    assert found.startswith(complaint)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        ({"wrong": ["caller-1: 200 for another"]}, "1 answers were not their caller's"),
        ({"answers": Counter({"200": 9, "503 overloaded": 1})}, "while the API was up"),
        ({"answers": Counter()}, "while the API was up"),
        ({"samples": [*FLAT[:6], *[Resources(75.0, 271)] * 3]}, "memory grew from 70.0 to 75.0"),
        ({"samples": [*FLAT[:8], Resources(70.0, 280)]}, "descriptors grew beyond 279"),
        ({"afterwards": Resources(70.0, 280)}, "descriptors grew beyond 279"),
        ({"revived_seconds": 5.1}, "the first success after the API's return took 5.1 s"),
        ({"revived_seconds": None}, "the first success after the API's return took None s"),
    ],
)
def test_when_the_function_does_not_hold_then_that_is_said(
    found: dict[str, object], complaint: str
) -> None:
    """Each promise by itself."""
    (problem,) = soak(**found).problems()

    assert problem.startswith(complaint)
