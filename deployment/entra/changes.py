"""What differs from what is wanted, and the steps that would change it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from deployment.entra.graph_client import Waiting

API_CLIENT_ID: Final = "$API_CLIENT_ID"
"""Stands in a step for the API's client ID, which Entra ID makes."""
API_PRINCIPAL_ID: Final = "$API_PRINCIPAL_ID"
"""Stands in a step for the object ID of the API's service principal."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as it should be."""

    where: str
    """The object: `application`, `service principal`, or who is assigned."""
    field: str
    """As Graph spells it."""
    found: Any
    """What it is; None where there is nothing."""
    wanted: Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request that changes the directory. Doing it twice is the same as once."""

    purpose: str
    method: Literal["PATCH", "POST"]
    path: str
    """May hold `API_CLIENT_ID` and `API_PRINCIPAL_ID`."""
    body: Mapping[str, Any]
    """In an assignment (`POST`), which holds nothing but IDs, so may the values of the body. Other
    bodies can hold text of others from the directory, in which nothing is replaced."""
    creates: bool = False
    """Whether it makes the object if it is not there (`Prefer: create-if-missing`)."""
    waiting: Waiting = Waiting.NOTHING

    def filled_body(self, known: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the body with the known values in the places of their names."""
        if self.method == "PATCH":
            return self.body
        return {name: fill_in(value, known) for name, value in self.body.items()}


@dataclass(frozen=True, slots=True)
class Lookup:
    """One request that finds what Entra ID made."""

    purpose: str
    variable: str
    """`API_CLIENT_ID` or `API_PRINCIPAL_ID`."""
    path: str
    field: str


type Step = Call | Lookup


@dataclass(frozen=True, slots=True)
class Changes:
    """The plan: what differs and, in order, what would be done about it."""

    differences: tuple[Difference, ...]
    steps: tuple[Step, ...]
    notices: tuple[str, ...] = ()
    """What is left as it is although nobody asked for it, and what to know beforehand."""
    known: Mapping[str, str] | None = None
    """The values of `API_CLIENT_ID` and `API_PRINCIPAL_ID` that are known already."""

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it should be."""
        return not self.differences

    @property
    def api_client_id(self) -> str:
        """The API's client ID; empty where the API is not registered yet."""
        return (self.known or {}).get(API_CLIENT_ID, "")


def fill_in(text: str, known: Mapping[str, str]) -> str:
    """Return a path with the known values in the places of their names."""
    for name, value in known.items():
        text = text.replace(name, value)
    return text
