"""What the rehearsal calls a fault: each thing that is missing, too much, or not as it must be."""

from copy import deepcopy
from typing import Any

import pytest

from tests.rehearsal.contents import IDENTITY, REGISTRATION, STACK, find_faults

WHOLE: dict[str, Any] = {
    "entra": {
        "applications": [{"displayName": REGISTRATION}],
        "principals": [{"displayName": REGISTRATION}, {"displayName": IDENTITY}],
        "assignments": [
            {"principalId": "identity", "appRoleId": "read"},
            {"principalId": "developer", "appRoleId": "read"},
        ],
    },
    "aws": {"stacks": {STACK: {"StackStatus": "UPDATE_COMPLETE"}}, "apis": [{"id": "abc"}]},
    "azure": {
        "layers": {"foundation": {}, "app": {}},
        "site": {"state": "running", "package_sha256": "d", "tags": {"bridge-package": "d"}},
    },
    "hosts": [1],
}


def test_when_everything_is_there_once_then_there_is_no_fault() -> None:
    """As one whole deployment leaves it."""
    assert [] == find_faults(WHOLE)


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (("entra", "applications"), [], "0 registrations"),
        (("entra", "applications"), [{"displayName": REGISTRATION}] * 2, "2 registrations"),
        (("entra", "principals"), [{"displayName": IDENTITY}], "0 service principals"),
        (
            ("entra", "principals"),
            [{"displayName": REGISTRATION}, *([{"displayName": IDENTITY}] * 2)],
            "2 service principals",
        ),
        (("entra", "assignments"), WHOLE["entra"]["assignments"][:1], "1 roles are granted"),
        (("entra", "assignments"), WHOLE["entra"]["assignments"][:1] * 2, "2 roles are granted"),
        (("aws", "stacks"), {}, "stacks []"),
        (("aws", "stacks"), {STACK: {"StackStatus": "UPDATE_IN_PROGRESS"}}, "UPDATE_IN_PROGRESS"),
        (("aws", "apis"), [{"id": "abc"}, {"id": "def"}], "2 APIs"),
        (("azure", "layers"), {"foundation": {}}, "no layer app"),
        (("azure", "site"), {"state": "failed", "problem": "no"}, "the Function App is failed"),
        (("azure", "site", "tags"), {}, "another package"),
        (("hosts",), [], "0 Functions hosts"),
        (("hosts",), [1, 2], "2 Functions hosts"),
    ],
)
def test_when_one_thing_is_not_as_it_must_be_then_it_is_named(
    place: tuple[str, ...], value: object, fault: str
) -> None:
    """One lie at a time."""
    contents = deepcopy(WHOLE)
    *path, last = place
    inside = contents
    for name in path:
        inside = inside[name]
    inside[last] = value

    (found,) = find_faults(contents)

    assert fault in found
