"""Every button of the console: what will be seen, which promise that shows, and what it does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

from bridge_cli.console.outcome import Outcome, outcome_of
from bridge_cli.console.switches import SLOW_SECONDS, Switches
from bridge_cli.console.sync_view import SyncView
from bridge_cli.console.trials import Trials
from bridge_cli.refusals import GATEWAY, REFUSAL_CASES, RefusalCase
from emulator.entra.issuer_faults import Condition
from emulator.stack import LocalStack


@dataclass(frozen=True, slots=True)
class Controls:
    """What the buttons work on."""

    stack: LocalStack
    switches: Switches
    trials: Trials
    sync: SyncView


@dataclass(frozen=True, slots=True)
class Button:
    """One button."""

    id: str
    group: str
    label: str
    seen: str
    """What will be seen, in a sentence."""
    promise: str
    """Which promise that shows."""
    press: Callable[[Controls], Awaitable[Outcome]]
    waits_its_turn: bool = True
    """Whether it begins only when the presses before it are over, because it says what it saw. What
    mends waits for nothing."""

    def to_members(self) -> dict[str, str]:
        """Return what the page needs to show it."""
        names = ("id", "group", "label", "seen", "promise")
        return {name: getattr(self, name) for name in names}


async def _refused(case: RefusalCase, controls: Controls) -> Outcome:
    return await controls.trials.try_refusal(case)


async def _break_issuer(controls: Controls) -> Outcome:
    return await _worsen(controls, controls.stack.entra.faults.break_down)


async def _slow_issuer(controls: Controls) -> Outcome:
    slow_down = partial(controls.stack.entra.faults.slow_down, SLOW_SECONDS)
    return await _worsen(controls, slow_down)


async def _worsen(controls: Controls, worsen: Callable[[], None]) -> Outcome:
    """Lay in tokens while there are any, switch, and see that a call goes on being allowed."""
    faults = controls.stack.entra.faults
    if faults.condition is Condition.WELL:
        await controls.trials.lay_in_tokens()
    worsen()
    called = await controls.trials.call_direct()
    sentence = f"The issuer is {faults.condition.value}. A call got {called.sentence}"
    return Outcome(called.verdict, sentence, called.request_ids)


async def _heal_issuer(controls: Controls) -> Outcome:
    controls.stack.entra.faults.heal()
    called = await controls.trials.call_direct()
    sentence = f"The issuer answers again. A call got {called.sentence}"
    return Outcome(called.verdict, sentence, called.request_ids)


async def _throttle(controls: Controls) -> Outcome:
    await controls.switches.throttle_api()
    return await controls.trials.call_when_throttled()


async def _unthrottle(controls: Controls) -> Outcome:
    await controls.switches.unthrottle_api()
    return await controls.trials.call_many()


async def _break_store(controls: Controls) -> Outcome:
    await controls.switches.break_store()
    match controls.stack.record_store:
        case "sqlite":
            how = "Its file can be read, and nobody can write to it."
        case "table":
            how = "Azurite takes connections and answers nothing."
        case _:
            assert_never(controls.stack.record_store)
    is_broken = not await controls.switches.is_store_writable()
    return outcome_of(is_broken, f"{how} Now run the sync: it has to fail, and to say so.")


async def _heal_store(controls: Controls) -> Outcome:
    controls.switches.heal_store()
    is_well = await controls.switches.is_store_writable()
    return outcome_of(is_well, "It can be written to. Now run the sync: it has to be complete.")


async def _put_right(controls: Controls) -> Outcome:
    await controls.switches.put_right()
    called = await controls.trials.call_direct()
    is_well = set(controls.switches.state().values()) == {"well"}
    sentence = f"Issuer, API and store are as at the start. A call got {called.sentence}"
    is_kept = is_well and called.verdict == "kept"
    return outcome_of(is_kept, sentence, *called.request_ids)


def _button_of(case: RefusalCase) -> Button:
    by_whom = "by the gateway itself" if case.expected_reason == GATEWAY else case.expected_reason
    return Button(
        f"refuse_{case.name}",
        "refused",
        _REFUSED_LABELS[case.name],
        f"{case.expected_status}, {by_whom}.",
        _REFUSED_PROMISES[case.name],
        partial(_refused, case),
    )


_REFUSED_LABELS: Final = {
    "no_token": "No token",
    "expired": "Expired",
    "wrong_audience": "For another API",
    "wrong_issuer": "From another tenant",
    "bad_signature": "Forged signature",
    "missing_role": "Without a role",
    "unknown_client": "Not on the list",
}
_REFUSED_PROMISES: Final = {
    "no_token": "A call without a token costs no Lambda call.",
    "expired": "An old token opens nothing.",
    "wrong_audience": "A token for another API is of no use here.",
    "wrong_issuer": "Only one tenant's tokens count.",
    "bad_signature": "One flipped bit is enough.",
    "missing_role": "A good token without a role is denied, and says so.",
    "unknown_client": "The role is not enough: the caller must be on the list.",
}

BUTTONS: Final = (
    Button(
        "call_proxy",
        "allowed",
        "Call through the Function App",
        "200. The caller sends no token; the Function App adds its own.",
        "Code in Azure calls AWS without a stored secret.",
        lambda controls: controls.trials.call_proxy(),
    ),
    Button(
        "call_direct",
        "allowed",
        "Call the API directly",
        "200. A fresh token from Entra ID, so the authorizer is asked.",
        "Whoever has a good token and the role gets in.",
        lambda controls: controls.trials.call_direct(),
    ),
    Button(
        "call_many",
        "allowed",
        "Six direct calls at once",
        "Six times 200 with one token; the gateway keeps the decision.",
        "A token is checked once, and cached safely.",
        lambda controls: controls.trials.call_many(),
    ),
    *(_button_of(case) for case in REFUSAL_CASES),
    Button(
        "write_as_reader",
        "refused",
        "Write as a reader",
        "403. The role may read; the call is a PUT.",
        "A cached decision for reading opens no writing.",
        lambda controls: controls.trials.write_as_reader(),
    ),
    Button(
        "rotate_key",
        "keys",
        "Rotate the signing key",
        "200 with a token of the new key, and with one of the old.",
        "A rotation needs no deployment and fails no call.",
        lambda controls: controls.trials.rotate_key(),
    ),
    Button(
        "remove_old_keys",
        "keys",
        "Remove the old keys",
        "200 with a token of a new key, 401 with one of a removed key.",
        "A key that is withdrawn stops opening the API.",
        lambda controls: controls.trials.remove_old_keys(),
    ),
    Button(
        "call_removed_key",
        "keys",
        "Call with a removed key",
        "401; 500 while the issuer is broken, for nobody can tell then.",
        "Not to be able to decide is never a refusal, which would be cached.",
        lambda controls: controls.trials.call_with_removed_key(),
    ),
    Button(
        "break_issuer",
        "faults",
        "Break the issuer",
        "Discovery, keys and tokens answer 503. A call still gets 200.",
        "The keys that the authorizer holds outlive an outage.",
        _break_issuer,
    ),
    Button(
        "slow_issuer",
        "faults",
        "Slow the issuer",
        f"It answers after {SLOW_SECONDS:.0f} s. A call still gets 200 at once.",
        "No call waits for the issuer while keys are held.",
        _slow_issuer,
    ),
    Button(
        "heal_issuer",
        "faults",
        "Mend the issuer",
        "A new token, and 200.",
        "Nothing has to be restarted after an outage.",
        _heal_issuer,
        waits_its_turn=False,
    ),
    Button(
        "throttle_api",
        "faults",
        "Throttle the API",
        "429 with Retry-After for some of six; the Function App's call gets 200.",
        "A throttled call is tried again when the API says.",
        _throttle,
    ),
    Button(
        "unthrottle_api",
        "faults",
        "Lift the throttle",
        "Six times 200.",
        "The stage lets through again what the template says.",
        _unthrottle,
        waits_its_turn=False,
    ),
    Button(
        "break_store",
        "faults",
        "Break the store",
        "Nobody can write. Then run the sync: it fails with a code.",
        "What was not stored does not count as synced.",
        _break_store,
    ),
    Button(
        "heal_store",
        "faults",
        "Mend the store",
        "Writing works again. Then run the sync: it is complete.",
        "The sync goes on from its checkpoint.",
        _heal_store,
        waits_its_turn=False,
    ),
    Button(
        "run_sync",
        "sync",
        "Run the sync now",
        "The record CONSOLE changes at the source, then a run stores it.",
        "Each change arrives, and a run reads only what is new.",
        lambda controls: controls.trials.run_sync(controls.sync),
        waits_its_turn=False,
    ),
    Button(
        "put_right",
        "state",
        "Put everything right",
        "Everything well, and a call that gets 200.",
        "Whatever was broken here can be mended here.",
        _put_right,
        waits_its_turn=False,
    ),
)
BUTTONS_BY_ID: Final[Mapping[str, Button]] = {button.id: button for button in BUTTONS}
