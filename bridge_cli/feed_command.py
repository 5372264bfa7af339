"""What a person does about a feed: after a restore, and after an import that was killed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import boto3
import botocore.exceptions
import typer
from botocore.config import Config

from aws_backend.feed_renewal import FeedRenewalError, RenewedFeed, renew_feed
from aws_backend.record_import import ImportUnfinishedError, NoImportRunningError, stop_import
from aws_backend.table_layout import MAX_SHARDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONFIG: Final = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5}
)
_EXPECTED_ERRORS: Final = (FeedRenewalError, ImportUnfinishedError, NoImportRunningError)

feed_app = typer.Typer(
    help="Mend the change feed of a table in your AWS account.", no_args_is_help=True
)

Table = Annotated[
    str, typer.Option(metavar="NAME", help="The table: the stack's output RecordsTable.")
]
Region = Annotated[
    str,
    typer.Option(
        envvar="AWS_REGION", help="The table's AWS region, unless your AWS configuration says it."
    ),
]
Profile = Annotated[
    str, typer.Option(help="The profile of your AWS configuration to sign in with.")
]


@feed_app.command()
def renew(
    *,
    table: Table,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_SHARDS,
            metavar="N",
            help="Give the feed this many shards from now on, and move each record into its own."
            " Every record that moves is copied, so it takes longer. By default the number stays,"
            " and no record moves to another shard.",
        ),
    ] = None,
    region: Region = "",
    profile: Profile = "",
) -> None:
    """Give a restored table's feed a new ID, and make the feed whole.

    Every reader starts over by itself. Until the command is through, which takes the reading of the
    whole feed, readers and writers get 503. It can be run again at any time, and must be if it was
    interrupted: with the same options.

    With --shards it gives a feed in use another number of shards.

    Exits with 0 if the feed is whole, and with 1 otherwise.
    """

    def run(client: "DynamoDBClient") -> str:
        return _describe(table, renew_feed(client, table, shards=shards))

    _with_client(run, region, profile)


def _describe(table: str, renewed: RenewedFeed) -> str:
    count = len(renewed.sequences)
    in_shards = f", in {count} shards" if count > 1 else ""
    sentences = [
        f"{table} has a new feed: {renewed.records} records, deleted ones included{in_shards}.",
        "Every reader starts over.",
    ]
    if renewed.lost_changes == 1:
        sentences.append("The last change was not in the backup and is lost.")
    elif renewed.lost_changes:
        sentences.append(
            f"The last changes of {renewed.lost_changes} shards were not in the backup and are"
            " lost."
        )
    if renewed.records_moved:
        sentences.append(
            f"{renewed.records_moved} records shared their place in the feed with another one and"
            " have moved to its end."
        )
    if renewed.records_resharded:
        sentences.append(f"{renewed.records_resharded} records have moved to another shard.")
    return "\n".join(sentences)


@feed_app.command("stop-import")
def stop(*, table: Table, region: Region = "", profile: Profile = "") -> None:
    """Declare an import that was killed a failed one, so that the table takes another.

    End the import's process first, if it still runs: what it has in hand may be written all the
    same. Readers and writers get 503 until another import is through.

    Exits with 0 if there was an import to stop, and with 1 otherwise.
    """

    def run(client: "DynamoDBClient") -> str:
        stop_import(client, table)
        return f"The import into {table} counts as failed. Import the records once more."

    _with_client(run, region, profile)


def _with_client(run: Callable[["DynamoDBClient"], str], region: str, profile: str) -> None:
    """Print what the run says; an expected error is one sentence on stderr and exit code 1."""
    try:
        session = boto3.session.Session(region_name=region or None, profile_name=profile or None)
        typer.echo(run(session.client("dynamodb", config=_CONFIG)))
    except _EXPECTED_ERRORS as error:
        _refuse(f"{error}. ({error.code})")
    except botocore.exceptions.NoRegionError:
        _refuse("No AWS region is named: give --region, or set AWS_REGION.")
    except botocore.exceptions.NoCredentialsError:
        _refuse(
            "Nobody is signed in to AWS: run `aws sso login` or `aws configure`, or give --profile."
        )
    except botocore.exceptions.ClientError as error:
        _refuse(_explain(error))
    # botocore raises the latter for an address that is none.
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        _refuse(f"AWS could not be asked: {error}")


def _explain(error: botocore.exceptions.ClientError) -> str:
    match code := error.response["Error"]["Code"]:
        case "ResourceNotFoundException":
            return "There is no such table in this account and region."
        case "AccessDeniedException":
            return (
                f"{error.operation_name} is not allowed: docs/runbook.md says what the signed-in"
                " role needs."
            )
        case _:
            return f"AWS refused {error.operation_name} ({code}). Is it a table of this stack?"


def _refuse(sentence: str) -> None:
    typer.echo(f"✗ {sentence}", err=True)
    raise typer.Exit(1)
