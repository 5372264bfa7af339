"""The authorizer's decisions and key set, out of its log."""

import json
from pathlib import Path
from typing import Any

from aws_authorizer.decision_log import DecisionLog
from aws_authorizer.key_set import FetchResult
from bridge_cli.console.authorizer_view import AuthorizerView
from shared.principal import Principal
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock

PRINCIPAL = Principal("object", "tenant", "client-1", frozenset({"Records.Read"}), "token-id")


def _log(path: Path, clock: FakeClock, age: float | None = 30.0) -> DecisionLog:
    """The authorizer's own log, written to the file."""

    def write(line: str) -> None:
        with path.open("a") as file:
            file.write(line)

    return DecisionLog(write, clock, lambda: age)


def test_when_calls_are_decided_then_the_newest_comes_first_and_says_what_to_change(
    tmp_path: Path,
) -> None:
    """A caller has a name once its signature has passed."""
    path, clock = tmp_path / "lambda.log", FakeClock()
    log = _log(path, clock)
    log.write_decision("allowed", Reason.ALLOWED, "r1", principal=PRINCIPAL)
    log.write_decision("rejected", Reason.EXPIRED, "r2")
    view = AuthorizerView(path, {"client-1": "service-principal"})
    view.read_new()
    second, first = view.decisions()

    assert ("rejected", "expired", None) == (
        second["outcome"],
        second["reason"],
        second["caller"],
    )
    assert Reason.EXPIRED.what_to_change == second["what_to_change"]
    assert ("allowed", "service-principal", "") == (
        first["outcome"],
        first["caller"],
        first["what_to_change"],
    )


def test_when_much_is_decided_then_only_the_last_decisions_are_kept(tmp_path: Path) -> None:
    """The console's memory does not grow with the stack's life."""
    path = tmp_path / "lambda.log"
    log = _log(path, FakeClock())
    for number in range(200):
        log.write_decision("rejected", Reason.EXPIRED, f"r{number}")
    view = AuthorizerView(path, {})
    view.read_new()

    assert 40 == len(view.decisions())
    assert "r199" == view.decisions()[0]["request_id"]


async def test_when_a_decision_names_the_key_sets_age_then_since_when_it_is_held(
    tmp_path: Path,
) -> None:
    """And each fetch is shown with what came of it."""
    path, clock = tmp_path / "lambda.log", FakeClock()
    log = _log(path, clock, age=30.0)
    log.write_fetch(FetchResult("timed_out", 2.0))
    log.write_fetch(FetchResult("ok", 0.1))
    log.write_decision("allowed", Reason.ALLOWED, "r1")
    view = AuthorizerView(path, {})
    view.read_new()
    key_set = view.key_set(_Entra())  # type: ignore[arg-type]  # the two members that it reads

    assert abs(clock.now() - 30.0 - key_set["held_since"]) < 1.0
    assert [("ok", 0.1), ("timed_out", 2.0)] == [
        (fetch["result"], fetch["seconds"]) for fetch in key_set["fetches"]
    ]


def test_when_somebody_else_writes_a_decision_then_it_is_bounded_text(tmp_path: Path) -> None:
    """Every value of a line is untrusted."""
    path = tmp_path / "lambda.log"
    line = {
        "event": "decision",
        "outcome": {"no": "text"},
        "reason": "x" * 5_000,
        "request_id": None,
        "KeySetAgeSeconds": "old",
        "_aws": "no object",
        "client_id": "<script>" * 100,
    }
    path.write_text(json.dumps(line) + "\n")
    view = AuthorizerView(path, {})
    view.read_new()
    (decision,) = view.decisions()

    assert all(len(str(value)) <= 200 for value in decision.values())
    assert decision["at"] is None


class _Entra:
    """As much of a local Entra ID as the view reads."""

    requests: dict[str, int] = {}  # noqa: RUF012 - never changed

    class issuer:  # noqa: N801 - an attribute's name
        class keys:  # noqa: N801
            published: tuple[Any, ...] = ()
            current = None
