"""App roles and scopes of a registration: which are ours, and how they get to what is wanted.

Graph changes or removes one only after it was disabled, so there are two lists: what to write
first, and what to write then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.entra.registration import WantedRegistration
from shared.routes import Role

type Entitlement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transition:
    """A list of roles or scopes on its way."""

    first: list[Entitlement]
    """With everything disabled that changes or goes."""
    final: list[Entitlement]
    disabled: tuple[str, ...]
    """The values that are disabled for a moment, or before they go."""
    foreign: tuple[str, ...]
    """The values that are not in the code and were not made by it."""


def plan_roles(found: Sequence[Entitlement], wanted: WantedRegistration) -> Transition:
    """Return how the app roles get to what is wanted.

    A role that is there under its value keeps its ID, its texts and what more it allows.
    """
    found = writable(found)
    by_value = {role["value"]: role for role in found}
    final: list[Entitlement] = []
    for role in wanted.app_roles():
        before = by_value.get(role["value"])
        if before is None:
            final.append(role)
            continue
        needed = {"Application"}
        if wanted.has_developers and role["value"] in wanted.developer_roles:
            needed.add("User")
        members = set(before["allowedMemberTypes"]) | needed
        kept = {**before, "isEnabled": True}
        if members != set(before["allowedMemberTypes"]):
            kept["allowedMemberTypes"] = sorted(members)
        final.append(kept)
    others = [role for role in found if role["value"] not in {*Role}]
    ours = [role for role in others if role["id"] == wanted.role_id(role["value"])]
    return _transition(found, final, others, ours)


def plan_scopes(found: Sequence[Entitlement], wanted: WantedRegistration) -> Transition:
    """Return how the delegated scopes get to what is wanted."""
    found = writable(found)
    by_value = {scope["value"]: scope for scope in found}
    wanted_scopes = wanted.scopes()
    final: list[Entitlement] = [
        {**by_value.get(scope["value"], scope), "isEnabled": True} for scope in wanted_scopes
    ]
    values = {scope["value"] for scope in wanted_scopes}
    others = [scope for scope in found if scope["value"] not in values]
    ours = [scope for scope in others if scope["id"] == wanted.scope_id]
    return _transition(found, final, others, ours)


def _transition(
    found: Sequence[Entitlement],
    wanted: Sequence[Entitlement],
    others: Collection[Entitlement],
    ours: Collection[Entitlement],
) -> Transition:
    foreign = [entry for entry in others if entry not in ours]
    # In the order in which they were found, so that nothing but a change makes a difference.
    by_id = {entry["id"]: entry for entry in (*wanted, *foreign)}
    known = {entry["id"] for entry in found}
    final = [by_id[entry["id"]] for entry in found if entry["id"] in by_id]
    final += [entry for entry in wanted if entry["id"] not in known]
    first: list[Entitlement] = []
    disabled = []
    for entry in found:
        after = by_id.get(entry["id"])
        is_kept = after is not None and {**after, "isEnabled": entry["isEnabled"]} == entry
        if entry["isEnabled"] and not is_kept:
            disabled.append(str(entry["value"]))
            first.append({**entry, "isEnabled": False})
        else:
            first.append(entry)
    return Transition(first, final, tuple(disabled), tuple(str(e["value"]) for e in foreign))


def writable(entries: Sequence[Entitlement]) -> list[Entitlement]:
    """Return the roles or scopes as Graph takes them: it shows their `origin`, and refuses it."""
    return [{name: v for name, v in entry.items() if name != "origin"} for entry in entries]


def describe(entry: Entitlement | None) -> str | None:
    """Return in words what a role or scope is; None where there is none."""
    if entry is None:
        return None
    state = "enabled" if entry["isEnabled"] else "disabled"
    members = "+".join(sorted(entry.get("allowedMemberTypes", ())))
    return f"{state}, for {members}" if members else state
