"""`bridge import`: what can be asked for, and with what it ends."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import typer
from botocore.config import Config
from rich.console import Console

from aws_backend.dynamodb_store import read_counter
from aws_backend.record_import import (
    FeedNotEmptyError,
    ImportStoppedError,
    ImportUnfinishedError,
    import_records,
)
from aws_backend.table_layout import MAX_SHARDS, FeedState
from bridge_cli.complaint import complain
from bridge_cli.importing.record_file import FORMAT_BY_SUFFIX, FileFormat, LineProblem, format_of
from bridge_cli.importing.staging import StagedRecords, staging
from bridge_cli.progress import progress_on
from emulator.aws.deployment import LocalAws
from emulator.stack_parts import Reporter
from shared.loopback import is_loopback_address

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_FAILED: Final = 1
_INTERRUPTED: Final = 130
_STDIN: Final = "-"
_CONFIG: Final = Config(
    connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 10}
)


class ImportRefusedError(Exception):
    """The records cannot be imported there; nothing was written. The message says what to do."""

    def __init__(self, message: str, code: str) -> None:
        """Take the sentence, and a stable code."""
        super().__init__(message)
        self.code = code


class ImportBrokenOffError(Exception):
    """The import began and did not end; the message says what is left."""

    code = "import_broken_off"


def import_file(  # noqa: PLR0913 - a command has an argument for each of its options
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The records; - reads them from standard input.")
    ],
    *,
    table: Annotated[
        str,
        typer.Option(
            "--table",
            metavar="NAME",
            help="The DynamoDB table: the stack's output RecordsTable. Only --check does without.",
        ),
    ] = "",
    form: Annotated[
        FileFormat | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="jsonl (a JSON object a line), json (one array of objects) or csv (a header, then"
            " rows of texts); by default as the file's name says.",
        ),
    ] = None,
    id_member: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="NAME",
            help="The member or column that is the record's ID; the whole object is its data."
            ' Without it each record is an object such as {"id": "a", "data": {}}.',
        ),
    ] = None,
    shards: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_SHARDS,
            metavar="N",
            help="How many shards the feed gets: as many as the stack's FeedShards says. One takes"
            " some 40 writes a second and 10 GB, the index included, and 16 take 16 times that;"
            " each costs a reader of the whole feed a read unit a request. `bridge feed renew`"
            " changes the number, which closes the feed for a while.",
        ),
    ] = 1,
    region: Annotated[
        str,
        typer.Option(
            envvar="AWS_REGION",
            help="The table's AWS region, unless your AWS configuration says it.",
        ),
    ] = "",
    profile: Annotated[
        str, typer.Option(help="The profile of your AWS configuration to sign in with.")
    ] = "",
    endpoint_url: Annotated[
        str,
        typer.Option(
            "--endpoint-url",
            metavar="URL",
            help="Another DynamoDB, such as the AWS endpoint that `bridge up` prints; on a loopback"
            " address your own AWS keys are not used.",
        ),
    ] = "",
    only_checks: Annotated[
        bool, typer.Option("--check", help="Only check the records; call nothing in AWS.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of sentences.")
    ] = False,
) -> None:
    """Load your own records into the API's table, as the first changes of a new feed.

    Every record is checked before anything is written; if one is wrong, nothing is. The rules are
    the API's own: an ID of 1 to 128 letters, digits and ._~-, and data of one JSON object of at
    most 256 KiB. It can be done once, into a new table: one that has a feed is refused, because
    its readers would miss what is put beneath them.

    Exits with 0 if all are imported (or good, with --check), 1 if not, 2 for wrong usage, and 130
    after Ctrl-C.
    """
    if not (table or only_checks):
        raise typer.BadParameter(
            "Say into which table: --table NAME, the stack's output RecordsTable."
        )
    chosen = form or format_of(Path(file))
    if chosen is None:
        known = ", ".join(FORMAT_BY_SUFFIX)
        raise typer.BadParameter(
            f"The name of {file} ends in none of {known}: say --format jsonl, json or csv."
        )
    console = Console(stderr=True, quiet=as_json)
    try:
        with staging() as staged, progress_on(console) as reporter:
            client = None
            if not only_checks:
                client = _connect(region=region, profile=profile, endpoint_url=endpoint_url)
                _check_table(client, table)
            _stage(staged, file, chosen, id_member, reporter)
            if not staged.problem_count and client is not None:
                _import(client, table, staged, shards, reporter)
        code = _show_result(staged, file, table, only_checks=only_checks, as_json=as_json)
    except (ImportRefusedError, ImportBrokenOffError) as error:
        code = _show_failure(error.code, str(error), as_json=as_json)
    except KeyboardInterrupt:
        code = _show_failure("cancelled", "Stopped; nothing was written.", as_json=as_json)
        code = _INTERRUPTED
    sys.exit(code)


def _stage(
    staged: StagedRecords,
    file: str,
    form: FileFormat,
    id_member: str | None,
    reporter: Reporter,
) -> None:
    reporter.step("Checking every record")
    try:
        with _opened(file) as source:
            staged.add_all(source, form, id_member=id_member)
    except OSError as error:
        raise ImportRefusedError(
            f"{file} cannot be read: {error.strerror or error}.", "file_unreadable"
        ) from error


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    # csv wants line breaks as they are. A mark at the beginning is not part of the first record.
    if file == _STDIN:
        sys.stdin.reconfigure(encoding="utf-8-sig", newline="")  # type: ignore[union-attr] # a TextIOWrapper, unless somebody replaced it
        yield sys.stdin
        return
    with Path(file).open(encoding="utf-8-sig", newline="") as source:
        yield source


def _connect(*, region: str, profile: str, endpoint_url: str) -> "DynamoDBClient":
    """Return a client of DynamoDB, made without calling it.

    Raises:
        ImportRefusedError: the AWS configuration, or the address, is not usable.

    """
    try:
        if endpoint_url and is_loopback_address(urlsplit(endpoint_url).hostname or ""):
            aws = LocalAws(endpoint_url)
            local = aws.session()
            return local.client("dynamodb", endpoint_url=endpoint_url, config=aws.config)
        session = boto3.session.Session(region_name=region or None, profile_name=profile or None)
        return session.client("dynamodb", endpoint_url=endpoint_url or None, config=_CONFIG)
    except botocore.exceptions.NoRegionError as error:
        raise ImportRefusedError(
            "No AWS region is named: give --region, or set AWS_REGION.", "region_missing"
        ) from error
    # botocore raises the latter for an address that is none.
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise ImportRefusedError(f"AWS cannot be called: {error}.", "aws_unusable") from error


def _check_table(client: "DynamoDBClient", table: str) -> None:
    """Raise ImportRefusedError unless the table is there, and has no feed but a failed import's.

    It is asked once more, and with a condition, when the import begins.
    """
    try:
        counter = read_counter(client, table)
    except client.exceptions.ResourceNotFoundException as error:
        raise ImportRefusedError(
            f"There is no table {table} in {client.meta.region_name} ({client.meta.endpoint_url}):"
            " the stack's output RecordsTable is its name.",
            "table_unknown",
        ) from error
    except botocore.exceptions.NoCredentialsError as error:
        raise ImportRefusedError(
            "Nobody is signed in to AWS: run `aws sso login` or `aws configure`, or give"
            " --profile.",
            "not_signed_in",
        ) from error
    except botocore.exceptions.ClientError as error:
        raise ImportRefusedError(
            f"AWS refused to look into {table} ({error.response['Error']['Code']}): the signed-in"
            " role needs dynamodb:GetItem, PutItem and BatchWriteItem on it, after a failed import"
            " also Query and DeleteItem, and it must be the stack's RecordsTable.",
            "table_refused",
        ) from error
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise ImportRefusedError(
            f"AWS could not be asked about {table}: {error}.", "aws_unreachable"
        ) from error
    match counter and counter.state:
        case None | FeedState.IMPORT_FAILED:
            pass
        case FeedState.IMPORTING:
            raise _is_importing(table)
        case _:
            raise _has_feed(table)


def _is_importing(table: str) -> ImportRefusedError:
    return ImportRefusedError(
        f"An import into {table} has not ended. Wait for it; if it was killed, run"
        f" `bridge feed stop-import --table {table}`, and import again.",
        ImportUnfinishedError.code,
    )


def _has_feed(table: str) -> ImportRefusedError:
    return ImportRefusedError(
        f"{table} has a feed already, from an import or a write, and its readers would miss what is"
        " put beneath them: import into a new table (deploy the stack under another name, or"
        " `bridge up --without-records`), or PUT these records one by one.",
        FeedNotEmptyError.code,
    )


def _import(
    client: "DynamoDBClient", table: str, staged: StagedRecords, shards: int, reporter: Reporter
) -> None:
    reporter.step(f"Importing into {table}")
    written = 0

    def advance(count: int) -> None:
        nonlocal written
        written = count
        reporter.advance(count, staged.count)

    try:
        import_records(client, table, staged.read(), shards=shards, progress=advance)
    except ImportUnfinishedError as error:
        raise _is_importing(table) from error
    except FeedNotEmptyError as error:
        raise _has_feed(table) from error
    except (
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
        ImportStoppedError,
        KeyboardInterrupt,
    ) as error:
        reason = "you stopped it" if isinstance(error, KeyboardInterrupt) else str(error)
        raise ImportBrokenOffError(
            f"The import broke off after {written:,} of {staged.count:,} records ({reason})."
            " Import again, which begins anew: until an import is through, readers and writers get"
            " 503. If it is then said to run still, stop it first:"
            f" `bridge feed stop-import --table {table}`."
        ) from error


def _show_result(
    staged: StagedRecords, file: str, table: str, *, only_checks: bool, as_json: bool
) -> int:
    imported = 0 if only_checks or staged.problem_count else staged.count
    if as_json:
        document = {
            "ok": not staged.problem_count,
            "imported": imported,
            "good": staged.count,
            "problem_count": staged.problem_count,
            "problems": [problem._asdict() for problem in staged.problems],
            "error_code": "records_invalid" if staged.problem_count else None,
        }
        print(json.dumps(document))  # noqa: T201 - its output
    elif staged.problem_count:
        for problem in staged.problems:
            complain(f"{_place(file, problem)}: {problem.message}")
        more = staged.problem_count - len(staged.problems)
        rest = f" {more:,} more are not shown." if more else ""
        complain(
            f"{staged.problem_count:,} of the records are wrong, so nothing was written.{rest}"
        )
    elif only_checks:
        print(f"{staged.count:,} records are good. Nothing was written.")  # noqa: T201
    else:
        print(f"{imported:,} records are in {table}; the feed has them all.")  # noqa: T201
    return _FAILED if staged.problem_count else 0


def _place(file: str, problem: LineProblem) -> str:
    name = "standard input" if file == _STDIN else file
    return f"{name}, line {problem.line}" if problem.line else name


def _show_failure(code: str, message: str, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"ok": False, "imported": 0, "error_code": code, "message": message}))  # noqa: T201
    else:
        complain(f"{message} ({code})")
    return _FAILED
