"""What `bridge smoke` asks of the local stack in place of Azure's and Amazon's command lines."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from deployment.smoke.background import in_background
from deployment.smoke.cloudwatch import CloudWatchAlarms
from deployment.smoke.outcome import CheckBlockedError, SmokeCode
from deployment.smoke.sources import AlarmState, FunctionKeys
from emulator.aws.deployment import STACK_NAME, LocalAws

_IDENTITY_API_VERSION: Final = "2019-08-01"
_OK: Final = 200
_MOST_LOG_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalTokens:
    """Tokens of the local Function App's own identity, which may only read."""

    identity_endpoint: str
    identity_header: str = field(repr=False)

    async def token(self, scope: str) -> str:
        """Return an access token for the scope.

        Raises:
            CheckBlockedError: the local Entra ID gives none.

        """
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                response = await http.get(
                    self.identity_endpoint,
                    params={
                        "api-version": _IDENTITY_API_VERSION,
                        "resource": scope.removesuffix("/.default"),
                    },
                    headers={"X-IDENTITY-HEADER": self.identity_header},
                )
        except httpx.HTTPError as error:
            raise _no_token(type(error).__name__) from error
        if response.status_code != _OK:
            raise _no_token(f"HTTP {response.status_code}")
        token: str = response.json()["access_token"]
        return token


def _no_token(came: str) -> CheckBlockedError:
    return CheckBlockedError(
        SmokeCode.SIGN_IN_MISSING,
        f"no token of the local Entra ID ({came})",
        "Start the local stack by `bridge up`, in the folder that --folder names.",
    )


@dataclass(frozen=True, slots=True)
class NoKeys:
    """The keys of a host that has none, as on a laptop."""

    async def keys(self) -> FunctionKeys:
        """Return no keys."""
        return FunctionKeys(None, None)


@dataclass(frozen=True, slots=True)
class LocalAlarms:
    """The alarm of the stack on MiniStack, which evaluates it as soon as its metric has data.

    MiniStack puts nothing into the logs that metric filters look at. So the filter's part is done
    here: what it would count in the authorizer's own log is counted there, each line at its time.
    A line too many cannot hide anything, and one that is old is the alarm's to judge.
    """

    endpoint_url: str
    authorizer_log: Path
    stack_name: str = STACK_NAME

    async def undecided_alarm(self) -> AlarmState:
        """Return the state of the alarm on undecided decisions; errors as on AWS."""
        return await in_background(self._look)

    def _look(self) -> AlarmState:
        aws = LocalAws(self.endpoint_url)
        alarms = CloudWatchAlarms(
            self.stack_name,
            session=lambda _region, _profile: aws.session(),
            endpoint_url=self.endpoint_url,
            config=aws.config,
        )
        alarm = alarms.alarm()
        metric = {"MetricName": alarm["MetricName"], "Dimensions": alarm.get("Dimensions", [])}
        client: Any = aws.session().client(
            "cloudwatch", endpoint_url=self.endpoint_url, config=aws.config
        )
        # CloudWatch takes missing data for none, as the alarm says; MiniStack wants to be told.
        data = [metric | {"Value": 0.0}]
        data += [metric | {"Value": 1.0, "Timestamp": when} for when in self._undecided()]
        for start in range(0, len(data), 500):
            client.put_metric_data(
                Namespace=alarm["Namespace"], MetricData=data[start : start + 500]
            )
        return AlarmState(alarms.alarm()["StateValue"])

    def _undecided(self) -> Iterator[datetime]:
        """Yield when each decision was left undecided, as the template's metric filter has it."""
        for members in _json_lines(self.authorizer_log):
            is_undecided = members.get("outcome") == "undecided"
            if is_undecided or members.get("event") == "settings_invalid":
                embedded = members.get("_aws")
                at = embedded.get("Timestamp") if isinstance(embedded, dict) else None
                moment = at / 1000 if isinstance(at, int) else self.authorizer_log.stat().st_mtime
                yield datetime.fromtimestamp(moment, UTC)


def _json_lines(log: Path) -> Iterator[Mapping[str, object]]:
    with log.open("rb") as lines:
        lines.seek(max(0, log.stat().st_size - _MOST_LOG_BYTES))
        for line in lines:
            try:
                members = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(members, dict):
                yield members


def aws_endpoint_of(api_url: str) -> str:
    """Return the local AWS's own URL, out of that of an API on it."""
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}"
