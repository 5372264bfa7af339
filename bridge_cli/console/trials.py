"""Calls as callers make them, each seen to be answered as was promised."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import httpx

from bridge_cli.console.outcome import Outcome, outcome_of, unclear
from bridge_cli.console.shown import Json
from bridge_cli.console.switches import Switches
from bridge_cli.console.sync_view import SyncView
from bridge_cli.local_client import LocalCallError, LocalClient
from bridge_cli.refusals import GATEWAY, RefusalCase
from bridge_cli.tracing.advice import what_to_change
from bridge_cli.tracing.local_logs import LocalLogs
from bridge_cli.tracing.traced_call import Actor, TracedCall
from emulator.entra.issuer_faults import Condition
from emulator.entra.key_store import SigningKey
from emulator.stack import LocalStack
from shared.clock import Clock

PATH: Final = "/v1/records?limit=1"
_RECORD: Final = "/v1/records/CONSOLE"
BURST: Final = 6
_TOKENS_LAID_IN: Final = 6
_SYNC_WITHIN_SECONDS: Final = 90.0
_ASK_FOR_TOKENS: Final = frozenset({"bad_signature", "missing_role", "unknown_client"})
"""The refusals whose token comes from the token endpoint; the others' is made from claims."""
_LOGGED_WITHIN_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.05
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_UNDECIDED: Final = 500
_THROTTLED_FIRST: Final = (
    "429: the gateway throttles before it asks anybody. Lift the throttle and try again."
)


class Trials:
    """Makes the calls on one running stack."""

    def __init__(
        self,
        stack: LocalStack,
        client: LocalClient,
        switches: Switches,
        logs: LocalLogs,
        clock: Clock,
    ) -> None:
        """Take the stack, how to reach it, what may be broken in it, and what it logs."""
        self._stack = stack
        self._client = client
        self._switches = switches
        self._logs = logs
        self._clock = clock
        self._laid_in: deque[str] = deque(maxlen=_TOKENS_LAID_IN)
        self._removed: tuple[SigningKey, ...] = ()

    async def lay_in_tokens(self) -> None:
        """Get tokens while Entra ID gives them, as callers have them when an outage begins.

        API Gateway has cached no answer for them, so the authorizer is asked about each.
        """
        while len(self._laid_in) < _TOKENS_LAID_IN:
            self._laid_in.append(await self._new_token())

    async def _new_token(self) -> str:
        return await self._client.token_for(self._stack.tenant.service_principal)

    async def _token(self) -> tuple[str, str]:
        """Return a token, and in words where it comes from."""
        if self._stack.entra.faults.condition is Condition.WELL or not self._laid_in:
            return await self._new_token(), "a token fetched just now"
        token = self._laid_in.popleft()
        # The last one stays: a caller goes on with it while it is valid.
        if not self._laid_in:
            self._laid_in.append(token)
        return token, "a token from before the outage"

    async def call_direct(self) -> Outcome:
        """Call the API as an application that may read."""
        token, which = await self._token()
        response = await self._client.call_api("GET", PATH, token=token)
        sentence = f"{response.status_code} with {which}."
        if response.status_code == _TOO_MANY and self._switches.is_throttled:
            return unclear(f"{sentence} The stage is throttled.", request_id_of(response))
        return outcome_of(response.status_code == _OK, sentence, request_id_of(response))

    async def call_proxy(self) -> Outcome:
        """Call the API through the Function App, which has its own token and its own retries."""
        response = await self._client.call_function("GET", f"/aws{PATH}")
        status, seconds = response.status_code, response.elapsed.total_seconds()
        took = f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1_000:.0f} ms"
        sentence = f"{status} after {took}, without a token of the caller's."
        return outcome_of(status == _OK, sentence, request_id_of(response))

    async def call_many(self) -> Outcome:
        """Make several direct calls at once with one token."""
        token, _ = await self._token()
        calls = (self._client.call_api("GET", PATH, token=token) for _ in range(BURST))
        responses = await asyncio.gather(*calls)
        return self._judge_burst(responses)

    def _judge_burst(self, responses: Sequence[httpx.Response]) -> Outcome:
        throttled = [each for each in responses if each.status_code == _TOO_MANY]
        allowed = sum(each.status_code == _OK for each in responses)
        is_known = allowed + len(throttled) == len(responses)
        says_when = all("retry-after" in each.headers for each in throttled)
        is_kept = is_known and says_when and bool(throttled) == self._switches.is_throttled
        hint = ", each with Retry-After" if throttled and says_when else ""
        sentence = f"{allowed} of {len(responses)} got 200, {len(throttled)} got 429{hint}."
        shown_call = throttled[0] if throttled else responses[0]
        return outcome_of(is_kept, sentence, request_id_of(shown_call))

    async def call_when_throttled(self) -> Outcome:
        """Make several direct calls at once, and one through the Function App, which retries."""
        burst = await self.call_many()
        proxied = await self.call_proxy()
        sentence = f"{burst.sentence} Through the Function App, which waits and tries again: "
        is_kept = burst.verdict == proxied.verdict == "kept"
        return outcome_of(is_kept, sentence + proxied.sentence, *proxied.request_ids)

    async def write_as_reader(self) -> Outcome:
        """Try to write with a token whose role may only read."""
        token, _ = await self._token()
        response = await self._client.call_api("PUT", _RECORD, token=token, json={})
        return self._judge_refusal(response, _FORBIDDEN, "The token has only Records.Read.")

    async def try_refusal(self, case: RefusalCase) -> Outcome:
        """Make one bad call, and see that it is refused for the reason that it must be."""
        if case.name in _ASK_FOR_TOKENS and self._stack.entra.faults.condition is Condition.BROKEN:
            return unclear("Entra ID gives no token for this one now: mend the issuer first.")
        token = await case.token(self._stack, self._client)
        response = await self._client.call_api("GET", PATH, token=token)
        if response.status_code != case.expected_status:
            return self._judge_refusal(response, case.expected_status, "")
        request_id = request_id_of(response)
        call = await self._logged_call(request_id)
        if call is None:
            return unclear(f"{response.status_code}; the logs do not say why.", request_id)
        was_asked = any(step.actor is Actor.AUTHORIZER for step in call.steps)
        reason = call.reason if was_asked else GATEWAY
        why = "by the gateway, which asked nobody" if reason == GATEWAY else str(reason)
        sentence = f"{response.status_code}, {why}. {what_to_change(call) or ''}".rstrip()
        return outcome_of(reason == case.expected_reason, sentence, request_id)

    def _judge_refusal(self, response: httpx.Response, expected: int, why: str) -> Outcome:
        status, request_id = response.status_code, request_id_of(response)
        if status == _TOO_MANY and self._switches.is_throttled:
            return unclear(_THROTTLED_FIRST, request_id)
        wanted = "" if status == expected else f" It should have been {expected}."
        return outcome_of(status == expected, f"{status}. {why}{wanted}".strip(), request_id)

    async def _logged_call(self, request_id: str) -> TracedCall | None:
        """Return the call once gateway and reason are logged; None if not within 2 s."""
        for _ in range(int(_LOGGED_WITHIN_SECONDS / _POLL_SECONDS)):
            self._logs.read_new()
            call = self._logs.find(request_id)
            if call is not None and call.reason is not None and call.status is not None:
                return call
            await asyncio.sleep(_POLL_SECONDS)
        return None

    async def rotate_key(self) -> Outcome:
        """Sign with a new key, then call with a token of the new key and one of the old."""
        if self._stack.entra.faults.condition is Condition.BROKEN:
            return unclear("No authorizer could fetch the new key now: mend the issuer first.")
        old = self._stack.entra.issuer.keys.current
        self._stack.entra.rotate_signing_key()
        # What was laid in shall be of the key that signs now.
        self._laid_in.clear()
        first = await self._client.call_api("GET", PATH, token=await self._new_token())
        second = await self._client.call_api("GET", PATH, token=self._signed_by(old))
        statuses = first.status_code, second.status_code
        sentence = (
            f"A token of the new key got {statuses[0]}, one of the old key {statuses[1]}."
            " Both keys are published."
        )
        return self._judge_new_key(statuses, (_OK, _OK), sentence, request_id_of(first))

    async def remove_old_keys(self) -> Outcome:
        """Sign with a new key, publish no other, then call with a token of a removed key."""
        if self._stack.entra.faults.condition is Condition.BROKEN:
            return unclear("No authorizer could fetch the new key now: mend the issuer first.")
        self._stack.entra.rotate_signing_key()
        self._removed = self._stack.entra.remove_old_keys()
        self._laid_in.clear()
        # The authorizer does not know the new key, so it fetches the key set, without the old ones.
        first = await self._client.call_api("GET", PATH, token=await self._new_token())
        second = await self._client.call_api("GET", PATH, token=self._signed_by(self._removed[0]))
        statuses = first.status_code, second.status_code
        sentence = (
            f"A token of the new key got {statuses[0]}, one of a removed key {statuses[1]}."
            " Only the new key is published."
        )
        wanted = (_OK, _UNAUTHORIZED)
        return self._judge_new_key(statuses, wanted, sentence, request_id_of(second))

    def _judge_new_key(
        self, statuses: tuple[int, int], wanted: tuple[int, int], sentence: str, request_id: str
    ) -> Outcome:
        if _TOO_MANY in statuses and self._switches.is_throttled:
            return unclear(_THROTTLED_FIRST, request_id)
        if statuses[0] == _UNAUTHORIZED:
            return unclear(
                f"{sentence} The authorizer has looked for an unknown key just now, and looks"
                " again after at most 30 seconds: call again then.",
                request_id,
            )
        return outcome_of(statuses == wanted, sentence, request_id)

    async def call_with_removed_key(self) -> Outcome:
        """Call with a token that was signed by a key which has been removed since."""
        if not self._removed:
            return unclear("No key has been removed yet: press Remove the old keys first.")
        token = self._signed_by(self._removed[0])
        response = await self._client.call_api("GET", PATH, token=token)
        status, request_id = response.status_code, request_id_of(response)
        if status == _TOO_MANY and self._switches.is_throttled:
            return unclear(_THROTTLED_FIRST, request_id)
        call = await self._logged_call(request_id)
        reason = (call and call.reason) or "reason not logged"
        sentence = f"{status}, {reason}. {(call and what_to_change(call)) or ''}".rstrip()
        if status == _OK:
            return unclear(
                f"{sentence} This authorizer still holds the key set from before the removal.",
                request_id,
            )
        # Whoever cannot look whether the key is new does not refuse it: that would be cached.
        return outcome_of(status in {_UNAUTHORIZED, _UNDECIDED}, sentence, request_id)

    def _signed_by(self, key: SigningKey) -> str:
        """Return a token as the service principal got it when that key signed."""
        issuer = self._stack.entra.issuer
        return issuer.sign(issuer.claims_for(self._stack.tenant.service_principal), key=key)

    async def run_sync(self, sync: SyncView) -> Outcome:
        """Change a record at the source, run the sync now, and see how it ends."""
        has_changed = await self._change_a_record()
        await sync.read_store(self._clock)
        known, cursor = sync.ended_run_ids(), sync.cursor
        was_broken = self._switches.is_store_broken
        await self._client.start_sync()
        give_up_at = self._clock.monotonic() + _SYNC_WITHIN_SECONDS
        while self._clock.monotonic() < give_up_at:
            await asyncio.sleep(_POLL_SECONDS)
            sync.read_log()
            if ended := sync.ended_runs(beyond=known):
                await sync.read_store(self._clock)
                if self._switches.is_store_broken != was_broken:
                    return unclear(
                        f"The run was {ended[0]['status']}; the store was not one thing."
                    )
                has_moved = sync.cursor != cursor
                return self._judge_run(ended[0], has_changed=has_changed, has_moved=has_moved)
        return unclear(f"The run was not over after {_SYNC_WITHIN_SECONDS:.0f} seconds.")

    async def _change_a_record(self) -> bool:
        """Change one record as an application that may write, and return whether that was done."""
        try:
            token = await self._client.token_for(self._stack.tenant.editor)
        except LocalCallError:
            return False
        content = {"name": "Changed by the console", "at": self._clock.now()}
        response = await self._client.call_api("PUT", _RECORD, token=token, json=content)
        return response.is_success

    def _judge_run(self, run: Json, *, has_changed: bool, has_moved: bool) -> Outcome:
        status, code = run["status"], run["error_code"]
        why = f" ({code})" if code else ""
        did = f"{run['records_read']} records read, {run['records_changed']} changed"
        sentence = f"{str(status).capitalize()}{why}: {did}."
        if not has_changed:
            return unclear(f"{sentence} The record to be synced could not be changed before.")
        if status == "superseded":
            return unclear(f"{sentence} Another run was under way.")
        if not self._switches.is_store_broken:
            return outcome_of(status == "complete" and run["records_changed"] > 0, sentence)
        where = "has moved" if has_moved else "is where it was"
        is_kept = status == "failed" and run["records_changed"] == 0 and not has_moved
        return outcome_of(is_kept, f"{sentence} The checkpoint {where}.")


def request_id_of(response: httpx.Response) -> str:
    """Return the gateway's ID of the call, or the Function App's if the gateway was not reached."""
    headers = response.headers
    return str(headers.get("x-amzn-requestid") or headers.get("x-request-id") or "")
