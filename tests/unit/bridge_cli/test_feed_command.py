"""What `bridge feed` says where AWS refuses. What it does is tested on a real API."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError
from botocore.stub import Stubber
from typer.testing import CliRunner

from bridge_cli.main import app


class Scripted:
    """A session whose one client answers from a script."""

    def __init__(self) -> None:
        """Make the client; nothing is answered yet."""
        self.dynamodb: Any = boto3.client(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.answers = Stubber(self.dynamodb)
        self.fails_with: Exception | None = None

    def client(self, _name: str, **_options: object) -> Any:
        """The client."""
        if self.fails_with is not None:
            raise self.fails_with
        return self.dynamodb


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Somebody who is signed in; the script must be used up."""
    scripted = Scripted()
    monkeypatch.setattr(boto3.session, "Session", lambda **_options: scripted)
    with scripted.answers:
        yield scripted
    scripted.answers.assert_no_pending_responses()


def complaint(command: str = "renew") -> str:
    """What stands on stderr after the command failed."""
    result = CliRunner().invoke(app, ["feed", command, "--table", "records"])

    assert (1, "") == (result.exit_code, result.stdout)
    return result.stderr


@pytest.mark.parametrize(
    ("command", "asks", "operation"),
    [("renew", "batch_get_item", "BatchGetItem"), ("stop-import", "get_item", "GetItem")],
)
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ResourceNotFoundException", "no such table"),
        ("AccessDeniedException", "{} is not allowed: docs/runbook.md"),
        ("ValidationException", "refused {} (ValidationException)"),
    ],
)
def test_when_aws_refuses_then_one_sentence_says_what_to_change(
    session: Scripted, command: str, asks: str, operation: str, code: str, said: str
) -> None:
    """No traceback, and exit code 1."""
    session.answers.add_client_error(asks, code)

    text = complaint(command)

    assert text.startswith("✗ ")
    assert said.format(operation) in text
    assert 1 == len(text.splitlines())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoRegionError(), "give --region"),
        (NoCredentialsError(), "give --profile"),
        (EndpointConnectionError(endpoint_url="https://x"), "could not be asked"),
    ],
)
def test_when_aws_cannot_be_asked_then_one_sentence_says_what_to_change(
    session: Scripted, error: Exception, said: str
) -> None:
    """Before anything is changed."""
    session.fails_with = error

    assert said in complaint()
