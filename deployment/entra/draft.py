"""A plan in the making."""

from dataclasses import dataclass, field

from deployment.entra.changes import Difference, Step
from deployment.entra.graph_client import GraphClient
from deployment.entra.registration import WantedRegistration


@dataclass(slots=True)
class Draft:
    """What has been found to differ so far, and what would be done about it."""

    graph: GraphClient
    wanted: WantedRegistration
    differences: list[Difference] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    def compare(self, where: str, name: str, found: object, wanted: object) -> bool:
        """Note a difference; return whether there is one."""
        if found == wanted:
            return False
        self.differences.append(Difference(where, name, found, wanted))
        return True
