"""What was explained, for people and for programs, and the exit status that says it too."""

import json
from dataclasses import dataclass
from typing import Any, Final, assert_never

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aws_authorizer.explanation.explained_checks import Check, CheckStatus, Explanation, Outcome
from bridge_cli.complaint import printable
from bridge_cli.explaining.route_access import RouteAccess

LET_IN: Final = 0
REJECTED: Final = 1
DENIED: Final = 3
UNCERTAIN: Final = 4

_MARKS: Final = {
    CheckStatus.PASSED: ("✓", "green"),
    CheckStatus.FAILED: ("✗", "bold red"),
    CheckStatus.NOT_REACHED: ("-", "dim"),
}
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_ROUTE_CLOSED: Final = "route_closed"


@dataclass(frozen=True, slots=True)
class Explained:
    """One token explained, and what it was explained against."""

    explanation: Explanation
    route: RouteAccess | None
    """The route that was asked about, if one was."""
    token_origin: str
    contract_origin: str
    keys_origin: str
    kinds: int
    """How many kinds of token the contract accepts: versions times tenants."""

    @property
    def exit_status(self) -> int:
        """Return 0 where the token is let in, and another status for each other outcome."""
        match self.explanation.outcome:
            case Outcome.ALLOWED:
                return DENIED if self.route is not None and not self.route.is_open else LET_IN
            case Outcome.REJECTED:
                return REJECTED
            case Outcome.DENIED:
                return DENIED
            case Outcome.UNDECIDED:
                return UNCERTAIN
            case _:
                assert_never(self.explanation.outcome)

    @property
    def http_status(self) -> int | None:
        """Return what API Gateway answers; None where the call goes on, or nobody can tell."""
        return {REJECTED: _UNAUTHORIZED, DENIED: _FORBIDDEN}.get(self.exit_status)

    @property
    def sentence(self) -> str:
        """Return the verdict in one sentence."""
        explanation, failure = self.explanation, self.explanation.first_failure
        if failure is None:
            return self._sentence_of_a_good_token()
        about = f"{failure.check}: {failure.found}"
        match explanation.outcome:
            case Outcome.REJECTED:
                return f"The authorizer rejects this token, 401, {explanation.reason} ({about})."
            case Outcome.DENIED:
                return (
                    "The authorizer denies this token's caller everything, 403,"
                    f" {explanation.reason} ({about})."
                )
            case _:
                return (
                    "Whether the authorizer lets this token in cannot be told,"
                    f" {explanation.reason} ({about})."
                )

    def _sentence_of_a_good_token(self) -> str:
        route, principal = self.route, self.explanation.principal
        roles = " and ".join(sorted(principal.roles)) if principal is not None else ""
        if route is None:
            return f"The authorizer lets this token in, with {roles}."
        if route.is_open:
            return f"The authorizer lets this token in, and its policy opens {route.route}."
        return (
            f"The token is good, with {roles}, and its policy does not open {route.route}, 403:"
            f" that needs {route.needed_role}."
        )

    @property
    def fix(self) -> str | None:
        """Return what to change first; None where nothing must be."""
        failure = self.explanation.first_failure
        if failure is not None:
            return failure.fix
        if self.route is not None and not self.route.is_open:
            return (
                f"Assign the app role {self.route.needed_role} to the caller, then get a new token."
                " A managed identity's token is cached for up to 24 hours."
            )
        return None


def to_json(explained: Explained) -> str:
    """Return one JSON object on one line."""
    explanation, route = explained.explanation, explained.route
    return json.dumps(
        {
            "verdict": explanation.outcome.value,
            "reason": explanation.reason.value
            if explained.exit_status != DENIED or explanation.first_failure is not None
            else _ROUTE_CLOSED,
            "http_status": explained.http_status,
            "sentence": explained.sentence,
            "fix": explained.fix,
            "is_signature_verified": explanation.is_verified,
            "explained_against": {
                "version": explanation.closest.version.value,
                "tenant_id": explanation.closest.tenant_id,
                "accepted_kinds": explained.kinds,
                "contract": explained.contract_origin,
                "keys": explained.keys_origin,
                "token": explained.token_origin,
            },
            "route": None
            if route is None
            else {
                "route": route.route,
                "is_open": route.is_open,
                "needed_role": route.needed_role,
            },
            "checks": [_check_to_json(check) for check in explanation.checks],
        }
    )


def _check_to_json(check: Check) -> dict[str, Any]:
    return {
        "check": check.check,
        "status": check.status.value,
        "expected": check.expected,
        "found": check.found,
        "reason": None if check.reason is None else check.reason.value,
        "fix": check.fix,
    }


def print_explained(explained: Explained, console: Console) -> None:
    """Print the verdict, every check, and last what to change."""
    explanation = explained.explanation
    style = "bold green" if explained.exit_status == LET_IN else "bold red"
    console.print(Text(explained.sentence, style=style), highlight=False)
    console.print(Text(_describe_trust(explained)), highlight=False)
    console.print()
    console.print(_build_table(explanation))
    console.print()
    _print_route(explained, console)
    _print_fixes(explained, console)


def _describe_trust(explained: Explained) -> str:
    explanation = explained.explanation
    closest = explanation.closest
    kind = f"v{closest.version} tokens of tenant {closest.tenant_id}"
    among = (
        f" (of {explained.kinds} accepted kinds, the one that it gets furthest with)"
        if explained.kinds > 1
        else ""
    )
    signature = next(check for check in explanation.checks if check.check == "signature")
    if explanation.is_verified:
        trust = "The signature was checked and is good."
    elif signature.status is CheckStatus.FAILED:
        trust = "The signature is bad: anyone may have written what the token says."
    elif signature.status is CheckStatus.PASSED:
        trust = "The signature is of another issuer's key: what the token says is unverified."
    else:
        trust = "The signature was not checked: anyone may have written what the token says."
    return printable(
        f"Token: {explained.token_origin}. Compared with {kind}{among}, by"
        f" {explained.contract_origin}; keys: {explained.keys_origin}. {trust}"
    )


def _build_table(explanation: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    found = "found" if explanation.is_verified else "found (unverified)"
    table.add_column("", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("expected", overflow="fold", ratio=1)
    table.add_column(found, overflow="fold", ratio=1)
    for check in explanation.checks:
        mark, style = _MARKS[check.status]
        plain = style if check.status is not CheckStatus.PASSED else ""
        table.add_row(
            Text(mark, style=style),
            Text(check.check, style=plain),
            Text(check.expected, style=plain),
            Text(check.found, style=plain),
        )
    return table


def _print_route(explained: Explained, console: Console) -> None:
    route = explained.route
    if route is None:
        return
    if route.needed_role is None:
        sentence = f"{route.route} needs no token: no authorizer stands in front of it."
    elif explained.explanation.outcome is Outcome.REJECTED:
        sentence = f"There is no policy for this token; {route.needed_role} opens {route.route}."
    else:
        state = "opens" if route.is_open else "does not open"
        sentence = f"The policy {state} {route.route}; the role that would is {route.needed_role}."
    console.print(Text(sentence), highlight=False)
    console.print()


def _print_fixes(explained: Explained, console: Console) -> None:
    fix = explained.fix
    if fix is None:
        return
    first = explained.explanation.first_failure
    told = {fix}
    for check in explained.explanation.checks:
        if check.fix and check is not first and check.fix not in told:
            told.add(check.fix)
            console.print(Text(f"Then, {check.check}: {check.fix}", style="dim"), highlight=False)
    name = first.check if first is not None else "route"
    console.print(
        Text.assemble((f"Fix first, {name}: ", "bold"), fix), highlight=False, soft_wrap=False
    )
