"""What the strict JSON readers of both clouds have in common: hooks for `json`, and depth.

Each reader keeps bounds of its own.
"""

from collections.abc import Iterable
from typing import NoReturn


def unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the members as an object; an `object_pairs_hook`.

    Raises:
        ValueError: a member comes twice, which one reader takes first and another last.

    """
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def refuse_constant(name: str) -> NoReturn:
    """Raise ValueError, because NaN and infinities are not JSON; a `parse_constant` hook."""
    raise ValueError(f"{name} is not JSON")


def child_containers(containers: Iterable[object]) -> list[object]:
    """Return the objects and arrays that stand directly in these."""
    return [
        child
        for container in containers
        for child in (container.values() if isinstance(container, dict) else container)  # type: ignore[attr-defined]  # else a list
        if isinstance(child, (dict, list))
    ]


def is_deeper_than(levels: int, container: object) -> bool:
    """Return whether an object or array nests more levels than these, itself counted."""
    containers: list[object] = [container]
    for _ in range(levels):
        containers = child_containers(containers)
        if not containers:
            return False
    return True
