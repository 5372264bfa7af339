"""The authorizer's decisions, read from the Lambdas' log."""

from pathlib import Path

from bridge_cli.authorizer_log import AuthorizerLog

DECISION = '{"event": "decision", "outcome": "rejected", "reason": "expired"}\n'


async def test_when_a_decision_is_logged_then_its_reason_is_read(tmp_path: Path) -> None:
    """Lines that are no decision are passed over."""
    path = tmp_path / "lambda.log"
    path.write_text('START\n[1, 2]\n{"event": "key_set_fetch"}\n' + DECISION)

    assert "expired" == await AuthorizerLog(path).next_reason()


async def test_when_older_decisions_are_skipped_then_only_a_newer_one_counts(
    tmp_path: Path,
) -> None:
    """What was logged before `skip_to_end` is forgotten."""
    path = tmp_path / "lambda.log"
    path.write_text(DECISION)
    log = AuthorizerLog(path)
    log.skip_to_end()
    with path.open("a") as more:
        more.write(DECISION.replace("expired", "wrong_issuer"))

    assert "wrong_issuer" == await log.next_reason()
