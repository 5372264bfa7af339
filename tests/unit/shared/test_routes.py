"""The table of routes."""

import re

import pytest

from shared.routes import PROTECTED_ROUTES, ROUTES, Role, Route


def test_when_routes_are_declared_then_each_is_well_formed_and_alone() -> None:
    """One line for a method on a path; paths as API Gateway spells them, roles without spaces."""
    assert len(ROUTES) == len({(route.method, route.path) for route in ROUTES})
    for route in ROUTES:
        assert re.fullmatch(r"[A-Z]+", route.method)
        assert re.fullmatch(r"(?:/(?:[A-Za-z0-9._~-]+|\{[a-z_]+\+?\}))+", route.path)
    assert not any(" " in role for role in Role)


def test_when_a_route_is_protected_then_it_has_a_role() -> None:
    """Open are health and the public metadata, and nothing else."""
    assert {"/health", "/.well-known/oauth-protected-resource"} == {
        route.path for route in ROUTES if route not in PROTECTED_ROUTES
    }


@pytest.mark.parametrize(
    ("role", "roles", "expected"),
    [
        (Role.READ, {"Records.Read"}, True),
        (Role.READ, {"Records.Write"}, False),
        (Role.READ, {"Records.ReadAll"}, False),
        (Role.READ, set(), False),
        (Role.READ, {"Records.Write", "Records.Read"}, True),
        (None, set(), True),
    ],
)
def test_when_a_caller_has_the_role_then_the_route_admits_it(
    role: Role | None,
    roles: set[str],
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Exactly that role; a route without one admits everybody."""
    assert expected is Route("GET", "/", role).admits(roles)
