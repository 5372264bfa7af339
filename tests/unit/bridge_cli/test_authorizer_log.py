"""The authorizer's decisions, read from the Lambdas' log."""

from pathlib import Path

import pytest

from bridge_cli import authorizer_log
from bridge_cli.authorizer_log import AuthorizerLog

DECISION = '{"event": "decision", "outcome": "rejected", "reason": "expired"}\n'
LAST = '{"event": "decision", "outcome": "rejected", "reason": "last"}\n'


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer_log, "_WAIT_SECONDS", authorizer_log._POLL_SECONDS)


async def test_when_a_decision_is_logged_then_its_reason_is_read(tmp_path: Path) -> None:
    """Lines that are no decision are passed over, whatever else they hold."""
    path = tmp_path / "lambda.log"
    others = 'START\n[1, 2]\n{"event": "key_set_fetch", "reason": "cool_down"}\n' + "[" * 9999
    path.write_text(others + "\n" + DECISION + LAST)

    assert ["expired"] == await AuthorizerLog(path).reasons_before("last")


async def test_when_older_decisions_are_skipped_then_only_a_newer_one_counts(
    tmp_path: Path,
) -> None:
    """What was logged before `skip_to_end` is forgotten."""
    path = tmp_path / "lambda.log"
    path.write_text(DECISION)
    log = AuthorizerLog(path)
    log.skip_to_end()
    with path.open("a") as more:
        more.write(DECISION.replace("expired", "wrong_issuer") + LAST)

    assert ["wrong_issuer"] == await log.reasons_before("last")


async def test_when_nothing_was_decided_before_the_last_then_there_is_no_reason(
    tmp_path: Path,
) -> None:
    """The last decision proves that the log is read to its end."""
    path = tmp_path / "lambda.log"
    path.write_text(LAST)

    assert [] == await AuthorizerLog(path).reasons_before("last")


@pytest.mark.parametrize("written", ["", DECISION, LAST.rstrip("\n")])
async def test_when_the_last_decision_is_missing_then_nothing_is_proved(
    tmp_path: Path, written: str
) -> None:
    """A log that cannot be read is no proof that nobody was asked."""
    path = tmp_path / "lambda.log"
    path.write_text(written)

    assert await AuthorizerLog(path).reasons_before("last") is None


async def test_when_a_decision_has_no_reason_then_it_is_a_decision_all_the_same(
    tmp_path: Path,
) -> None:
    """It must not look as if the authorizer had not been asked."""
    path = tmp_path / "lambda.log"
    path.write_text('{"event": "decision"}\n' + LAST)

    assert ["None"] == await AuthorizerLog(path).reasons_before("last")
