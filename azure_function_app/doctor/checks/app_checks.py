"""The app itself: its settings, the versions that it runs, the clock of its machine."""

import platform
import sys
from importlib import metadata
from typing import Final

from azure_function_app import __version__
from azure_function_app.declared_settings import SETTINGS
from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.evidence import Evidence
from azure_function_app.doctor.probes.exchange import Answered
from azure_function_app.doctor.report import Check, CheckName, Fix, Place
from azure_function_app.doctor.subject import Subject
from shared.settings_reader import SettingProblem

TESTED_PYTHON: Final = (3, 13)
CLOCK_FAILS_SECONDS: Final = 60.0
CLOCK_WARNS_SECONDS: Final = 5.0
_SHOWN_PROBLEMS: Final = 5
_NTP: Final = "a time server"
_LIBRARIES: Final = ("azure-identity", "azure-functions")


def check_settings(subject: Subject) -> Check:
    """Return whether the settings are complete and agree with each other."""
    problems = subject.reading.problems
    if not problems:
        given = sum(subject.is_set(setting.name) for setting in SETTINGS)
        return Check.passed(CheckName.SETTINGS, f"{given} given, all of them sound")
    # The reader's own sentences: they name settings and what is expected, never a value.
    sentences = [str(problem) for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        names = ", ".join(sorted({problem.name for problem in problems[_SHOWN_PROBLEMS:]}))
        sentences.append(f"and {names}")
    first = problems[0]
    return Check.failed(
        CheckName.SETTINGS,
        "; ".join(sentences),
        Cause.SETTINGS_INVALID,
        Fix(
            f"Set {first.name}: {first.message}."
            if len(problems) == 1
            else f"Set {', '.join(dict.fromkeys(problem.name for problem in problems))} as said.",
            Place.FUNCTION_APP,
            setting=first.name,
            value=_value_of(first),
            value_from=None if _value_of(first) is not None else _place_of(first),
        ),
    )


def _value_of(problem: SettingProblem) -> str | None:
    if "remove it" in problem.message:
        return ""
    if problem.name == "RECORD_STORE" and "in Azure" in problem.message:
        return "table"
    return None


def _place_of(problem: SettingProblem) -> str:
    return _PLACES.get(problem.name, "bridge settings, which lists every setting")


_PLACES: Final = {
    "AWS_API_BASE_URL": "the stack's output AwsApiBaseUrl",
    "ENTRA_TENANT_ID": "the Entra overview page, Tenant ID",
    "API_CLIENT_ID": "the stack's output ApiClientId",
    "API_APP_ID_URI": "the stack's output ApiAppIdUri",
    "ACCEPTED_TOKEN_VERSIONS": "the stack's output AcceptedTokenVersions",
    "TABLE_ENDPOINT": "the storage account's page Endpoints: Table service",
}


def check_versions() -> Check:
    """Return which versions run, and whether they are the tested ones."""
    found = f"app {__version__}, Python {platform.python_version()}, " + ", ".join(
        f"{name} {_version_of(name)}" for name in _LIBRARIES
    )
    if sys.version_info[:2] == TESTED_PYTHON:
        return Check.passed(CheckName.VERSIONS, found)
    wanted = ".".join(map(str, TESTED_PYTHON))
    return Check.warned(
        CheckName.VERSIONS,
        found,
        Cause.PYTHON_UNSUPPORTED,
        Fix(
            f"Run the app with Python {wanted}, which it is tested with.",
            Place.MACHINE,
            setting="functionAppConfig.runtime.version",
            value=wanted,
        ),
    )


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        # A package on a laptop can lack what only tells its version.
        return "unknown"


def check_clock(evidence: Evidence) -> Check:
    """Return how far the clocks of this machine, Entra ID and the API are apart."""
    # A cache between us and the key set would tell its own time; Entra's discovery is not cached.
    issuer, api = _ahead(evidence.discovery), _ahead(evidence.health)
    ahead = {"Entra ID": issuer, "the API": api}
    known = {name: seconds for name, seconds in ahead.items() if seconds is not None}
    if not known:
        return Check.needs(CheckName.CLOCK, CheckName.DISCOVERY, CheckName.API_REACHABLE)
    found = "this machine is " + " and ".join(
        f"{_distance(-seconds)} {name}" for name, seconds in known.items()
    )
    worst = max(map(abs, known.values()))
    if worst <= CLOCK_WARNS_SECONDS:
        return Check.passed(CheckName.CLOCK, found)
    cause, fix = _whose_clock(issuer, api)
    make = Check.failed if worst > CLOCK_FAILS_SECONDS else Check.warned
    return make(CheckName.CLOCK, found, cause, fix)


def _ahead(outcome: object) -> float | None:
    return outcome.clock_ahead_seconds if isinstance(outcome, Answered) else None


def _distance(seconds: float) -> str:
    if abs(seconds) < 1:
        return "less than 1 s from"
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"


def _whose_clock(issuer: float | None, api: float | None) -> tuple[Cause, Fix]:
    """Return whose clock is off: the one that two others do not agree with."""
    if issuer is None or api is None:
        sentence = "Set this machine's clock by a time server (NTP): it is the likelier one."
        return Cause.CLOCKS_APART, Fix(sentence, Place.MACHINE, setting="clock", value_from=_NTP)
    if abs(issuer - api) <= CLOCK_WARNS_SECONDS:
        sentence = (
            f"Set this machine's clock by a time server (NTP): it is {_distance(-issuer)} both"
            " Entra ID and the API."
        )
        return (
            Cause.MACHINE_CLOCK_OFF,
            Fix(sentence, Place.MACHINE, setting="clock", value_from=_NTP),
        )
    is_api = abs(api) > abs(issuer)
    whose, seconds = ("the API", api) if is_api else ("Entra ID", issuer)
    sentence = (
        f"Look at what answers in the place of {whose}: its clock is {_distance(seconds)} the other"
        " two, which a cloud's own never is."
    )
    cause = Cause.API_CLOCK_OFF if is_api else Cause.ISSUER_CLOCK_OFF
    where = "who runs the proxy in between"
    return cause, Fix(sentence, Place.NETWORK, setting="clock", value_from=where)
