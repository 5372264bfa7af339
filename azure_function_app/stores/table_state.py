"""The table of states: checkpoints, each an entity with a fence, and the reports of runs."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableClient, TableTransactionError, UpdateMode

from azure_function_app.errors import CheckpointConflict
from azure_function_app.stores.table_entities import (
    RUNS_PARTITIONS,
    STATE_PARTITION,
    checkpoint_entity,
    report_entity,
    runs_partition,
)
from azure_function_app.stores.table_requests import TableRequests, is_table_missing
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    SyncReport,
    runs_kept,
    surplus_reports,
)
from azure_function_app.sync.stored_text import (
    decode_checkpoint,
    decode_report,
    encode_checkpoint,
)

_DELETIONS: Final = 100
"""Operations that one transaction may have."""


def load_row(requests: TableRequests, table: TableClient, row: str) -> Checkpoint:
    """Return the checkpoint of that row as last saved, or `BEGINNING`."""
    entity = _state_or_none(requests, table, row)
    if entity is None:
        return BEGINNING
    return decode_checkpoint(entity.get("value"), entity.metadata["etag"])


def save_row(
    requests: TableRequests, table: TableClient, row: str, moved: Checkpoint, replacing: Checkpoint
) -> Checkpoint:
    """Move the checkpoint of that row on, if it is still the one that is replaced.

    Raises:
        CheckpointConflict: it is not.

    """
    entity = checkpoint_entity(row, encode_checkpoint(moved), uuid4().hex)
    try:
        saved: Any
        if replacing.fence:
            saved = requests.send(
                table.update_entity,
                entity,
                mode=UpdateMode.REPLACE,
                etag=replacing.fence,
                match_condition=MatchConditions.IfNotModified,
            )
        else:
            saved = requests.send(table.create_entity, entity)
    except (ResourceModifiedError, ResourceNotFoundError, ResourceExistsError) as error:
        if is_table_missing(error):
            raise
        # Ours, if only the answer to an earlier attempt was lost.
        stored = _state_or_none(requests, table, row)
        if stored is None or stored.get("saved_by") != entity["saved_by"]:
            raise CheckpointConflict("Another run has moved the checkpoint.") from None
        return replace(moved, fence=str(stored.metadata["etag"]))
    return replace(moved, fence=str(saved["etag"]))


def delete_row(requests: TableRequests, table: TableClient, row: str) -> None:
    """Delete the checkpoint of that row, whatever it holds."""
    requests.send(table.delete_entity, STATE_PARTITION, row)


def keep_report(requests: TableRequests, table: TableClient, report: SyncReport) -> None:
    """Keep the report beside the newest others of its shard, unless the run has one already."""
    try:
        requests.send(table.create_entity, report_entity(report))
    except ResourceExistsError:
        return
    partition = runs_partition(report.shard)
    kept = _runs(requests, table, f"PartitionKey eq '{partition}'")
    surplus = surplus_reports(list(map(_decode, kept)), most=runs_kept(report.shard))
    for numbers in itertools.batched(surplus, _DELETIONS, strict=False):
        keys = [kept[number]["RowKey"] for number in numbers]
        deletions = [("delete", {"PartitionKey": partition, "RowKey": key}) for key in keys]
        try:
            requests.send(table.submit_transaction, deletions)
        except TableTransactionError:
            # Another run was quicker; the next one deletes what is left.
            return


def kept_reports(requests: TableRequests, table: TableClient) -> list[SyncReport]:
    """Return the reports that are kept, that of the run that ended last first."""
    first, after = RUNS_PARTITIONS
    try:
        kept = _runs(requests, table, f"PartitionKey ge '{first}' and PartitionKey lt '{after}'")
    except ResourceNotFoundError as error:
        if not is_table_missing(error):
            raise
        return []
    if not kept:
        # What a version of the app that kept one report only has left.
        kept = [_state_or_none(requests, table, "last_run") or {}]
    # In each partition they stand so.
    kept.sort(key=lambda entity: str(entity.get("RowKey")))
    return [report for report in map(_decode, kept) if report is not None]


def _decode(entity: Mapping[str, Any]) -> SyncReport | None:
    return decode_report(entity.get("value"))


def _runs(requests: TableRequests, table: TableClient, condition: str) -> list[Any]:
    def read(**options: Any) -> list[Any]:  # noqa: ANN401 - the SDK's options
        return list(table.query_entities(condition, select=["RowKey", "value"], **options))

    return requests.send(read)


def _state_or_none(requests: TableRequests, table: TableClient, row: str) -> Any:  # noqa: ANN401 - the SDK's entity
    try:
        return requests.send(table.get_entity, STATE_PARTITION, row)
    except ResourceNotFoundError:
        return None
