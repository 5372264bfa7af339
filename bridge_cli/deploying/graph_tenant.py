"""Entra ID by Microsoft Graph, as a rollout asks it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from deployment.bridge_file import Environment
from deployment.clouds import Registration, Report
from deployment.entra.apply import apply_changes
from deployment.entra.changes import Changes
from deployment.entra.errors import EntraError, SignInError
from deployment.entra.graph_client import GraphClient
from deployment.entra.plan import plan_entra
from deployment.errors import DeploymentError, NotSignedIn, RightsMissing
from deployment.parameters.derived_settings import wanted_registration
from shared.clock import Clock

_RIGHT_MISSING: Final = "graph_right_missing"
_SIGN_IN_NEEDED: Final = "graph_sign_in_needed"


@dataclass(frozen=True, slots=True)
class GraphTenant:
    """The tenant behind one address of Graph."""

    url: str
    fetch_token: Callable[[], str]
    """Signs in. Its result is a secret."""
    clock: Clock
    sleep: Callable[[float], None] = time.sleep

    def inspect(self, environment: Environment, identity_principal_id: str) -> Registration:
        """Return the registration as it is; `EntraTenant` says what is raised."""
        with self._asking() as graph:
            return _registration(
                plan_entra(graph, wanted_registration(environment, identity_principal_id))
            )

    def apply(
        self, environment: Environment, identity_principal_id: str, report: Report
    ) -> Registration:
        """Change what differs; `EntraTenant` says what is raised."""
        with self._asking() as graph:
            changes = plan_entra(graph, wanted_registration(environment, identity_principal_id))
            return Registration(apply_changes(graph, changes, report), ())

    @contextmanager
    def _asking(self) -> Iterator[GraphClient]:
        try:
            # A company's proxy leads to Microsoft, and nowhere to this machine.
            with httpx.Client(trust_env=self.url.startswith("https:")) as http:
                token = self.fetch_token()
                yield GraphClient(http, self.url, token, clock=self.clock, sleep=self.sleep)
        except SignInError as error:
            raise NotSignedIn(error.code, str(error)) from error
        except EntraError as error:
            match error.code:
                case code if code == _RIGHT_MISSING:
                    raise RightsMissing(code, str(error)) from error
                case code if code == _SIGN_IN_NEEDED:
                    raise NotSignedIn(code, str(error)) from error
                case code:
                    raise DeploymentError(code, str(error)) from error


def _registration(changes: Changes) -> Registration:
    differences = tuple(f"{each.where}: {each.field}" for each in changes.differences)
    return Registration(changes.api_client_id, differences, changes.notices)
