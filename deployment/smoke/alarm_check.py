"""The check of the one alarm that must be quiet: nobody with a good token gets a 500."""

from typing import Final, assert_never

from deployment.smoke.outcome import CheckFailedError, SmokeCode
from deployment.smoke.sources import AlarmState
from deployment.smoke.visit import Check, Visit

_POLL_SECONDS: Final = 5.0


async def _undecided_alarm(visit: Visit) -> str:
    """Wait until the alarm says OK. One that was made just now knows nothing for some minutes."""
    visit.if_late = CheckFailedError(
        SmokeCode.ALARM_UNDETERMINED,
        AlarmState.INSUFFICIENT_DATA.value,
        "The alarm has looked at nothing yet: run this again in five minutes; if it stays so, its"
        " metric does not exist, so compare it with the template's.",
    )
    while True:
        state = await visit.sources.alarms.undecided_alarm()
        match state:
            case AlarmState.OK:
                return state.value
            case AlarmState.ALARM:
                raise CheckFailedError(
                    SmokeCode.UNDECIDED_ALARM,
                    state.value,
                    "The authorizer could not decide, and callers with good tokens got 500: its log"
                    " says why, by the query under authorizer_undecided.",
                )
            case AlarmState.INSUFFICIENT_DATA:
                visit.say("waiting for the alarm's first evaluation")
                await visit.sleep(_POLL_SECONDS)
            case _:
                assert_never(state)


ALARM_CHECKS: Final = (
    Check(
        "alarms",
        "the state of the stack's UndecidedDecisionsAlarm",
        "OK",
        _undecided_alarm,
        waits=True,
    ),
)
