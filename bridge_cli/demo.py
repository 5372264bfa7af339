"""The demo: the whole bridge at work, each claim shown by doing it.

Nothing here is prepared: every figure is read from the place where it must show, and whatever is
not as promised ends up in `problems`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import httpx

from azure_function_app.sync.checkpoint_store import SyncReport
from bridge_cli.authorizer_log import AuthorizerLog
from bridge_cli.local_client import LocalClient
from bridge_cli.refusals import REFUSAL_CASES, Refusal, try_to_get_in
from bridge_cli.sink_view import SinkView
from bridge_cli.sync_run import opened_store, sync_to_end
from emulator.stack import LocalStack
from emulator.stack_parts import Reporter
from shared.clock import Clock

_SAMPLE: Final = "/v1/records/EGLL"
_OK: Final = frozenset({200, 201, 204})


@dataclass(slots=True)
class DemoReport:
    """Everything that the demo saw."""

    records_source: int = 0
    records_synced: int = 0
    sync_seconds: float = 0.0
    changes_made: int = 0
    changes_synced: int = 0
    records_after_changes: int = 0
    """As many as before if one was added and one deleted."""
    tombstones: int = 0
    """What deletions have left in the change feed, which a sync from the beginning reads too."""
    records_read_again: int = 0
    changed_by_full_resync: int = -1
    proxy_status: int = 0
    rotated_key_status: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def expect(self, is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Note a problem unless the statement is true."""
        if not is_so:
            self.problems.append(otherwise)


async def run_demo(stack: LocalStack, reporter: Reporter, clock: Clock) -> DemoReport:
    """Show the whole bridge on a running stack.

    Raises:
        LocalCallError, SyncFailedError: a part did not respond, so the rest could not be shown.

    """
    report = DemoReport(records_source=stack.records_imported)
    sink = SinkView(stack.sqlite_path)
    async with LocalClient.to(stack) as client, opened_store(stack.sqlite_path) as store:

        async def sync(text: str, watch: Callable[[], None] = lambda: None) -> SyncReport:
            reporter.step(text)
            return await sync_to_end(client, store, clock, watch)

        first = await sync(
            "Syncing every record into SQLite",
            lambda: reporter.advance(sink.count(), report.records_source),
        )
        report.records_synced = sink.count()
        report.sync_seconds = _seconds(first)
        report.expect(
            report.records_synced == report.records_source,
            f"{report.records_synced} of {report.records_source} records were synced",
        )

        reporter.step("Changing three records at the source")
        report.changes_made = await _change_records(client, report)
        second = await sync("Syncing again: only what changed")
        report.changes_synced = second.records_changed
        report.expect(
            report.changes_made == second.records_changed == second.records_read,
            f"{report.changes_made} changes were made, {second.records_read} read and "
            f"{second.records_changed} written",
        )

        report.records_after_changes = sink.count()
        report.tombstones = sink.count_tombstones()
        before = sink.digest()
        sink.delete_checkpoint()
        third = await sync("Syncing again without the checkpoint")
        report.records_read_again = third.records_read
        report.changed_by_full_resync = third.records_changed
        in_feed = report.records_after_changes + report.tombstones
        report.expect(
            third.records_read == in_feed,
            f"a repeated sync read {third.records_read} records; there are {in_feed},"
            " tombstones included",
        )
        report.expect(
            third.records_changed == 0 and before == sink.digest(),
            f"a repeated sync changed {third.records_changed} records",
        )

        reporter.step("Calling the API through the proxy")
        report.proxy_status = await _call_proxy(client, report)

        reporter.step("Rotating Entra's signing key")
        report.rotated_key_status = await _call_after_rotation(stack, client, report)

        reporter.step("Trying to get in with bad tokens")
        report.refusals = await _refusals(stack, client, report)
    return report


async def _change_records(client: LocalClient, report: DemoReport) -> int:
    """Change one record, add one and delete one, as an application that may write."""
    token = await client.token_for(client.stack.tenant.editor)
    airport = (await client.call_api("GET", _SAMPLE, token=token)).json()
    renamed = airport["data"] | {"name": "Heathrow, renamed"}
    added = {"icao": "DEMO", "name": "Added by the demo"}
    changes = (
        client.call_api("PUT", _SAMPLE, token=token, json=renamed),
        client.call_api("PUT", "/v1/records/DEMO", token=token, json=added),
        client.call_api("DELETE", "/v1/records/LFPO", token=token),
    )
    made = 0
    for change in changes:
        response = await change
        made += response.status_code in _OK
        report.expect(
            response.status_code in _OK,
            f"a change at the source was answered with {response.status_code}",
        )
    return made


async def _call_proxy(client: LocalClient, report: DemoReport) -> int:
    response = await client.call_function("GET", f"/aws{_SAMPLE}")
    report.expect(
        response.status_code == httpx.codes.OK and response.json()["id"] == "EGLL",
        f"the proxied call was answered with {response.status_code}",
    )
    return response.status_code


async def _call_after_rotation(stack: LocalStack, client: LocalClient, report: DemoReport) -> int:
    """Rotate the signing key, then call with a token that the new key signed."""
    key_id = stack.entra.rotate_signing_key()
    token = await client.token_for(stack.tenant.service_principal)
    response = await client.call_api("GET", "/v1/records?limit=1", token=token)
    report.expect(
        stack.entra.issuer.keys.current.key_id == key_id and response.status_code == httpx.codes.OK,
        f"the first call with the rotated key was answered with {response.status_code}",
    )
    return response.status_code


async def _refusals(stack: LocalStack, client: LocalClient, report: DemoReport) -> list[Refusal]:
    log = AuthorizerLog(stack.log_folder / "lambda.log")
    refusals = [await try_to_get_in(case, stack, client, log) for case in REFUSAL_CASES]
    report.problems += [problem for refusal in refusals for problem in refusal.problems]
    return refusals


def _seconds(report: SyncReport) -> float:
    started, ended = map(datetime.fromisoformat, (report.started_at, report.finished_at))
    return (ended - started).total_seconds()
