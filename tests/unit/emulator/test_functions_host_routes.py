"""Route templates."""

import pytest

from emulator.functions_host.routes import HttpRoute, RouteTemplate, find_route

GUID = "0b1d0000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("api/health", "/api/health", {}),
        ("api/health", "/API/Health", {}),
        ("api/health", "/api/health/", {}),
        ("api/health", "/api/healthy", None),
        ("api/health", "/api", None),
        ("api/health", "/api/health/x", None),
        ("api/health", "/api//health", None),
        ("api/{id}", "/api/7", {"id": "7"}),
        ("api/{id}", "/api/Über", {"id": "Über"}),
        ("api/{id}", "/api/", None),
        ("api/{id?}", "/api/7", {"id": "7"}),
        ("api/{id?}", "/api/", {}),
        ("api/{id?}", "/api", {}),
        ("api/{id?}", "/api/7/8", None),
        ("api/{id:int}", "/api/-7", {"id": "-7"}),
        ("api/{id:int}", "/api/seven", None),
        ("api/{id:guid}", f"/api/{GUID}", {"id": GUID}),
        ("api/{id:guid}", "/api/0b1d", None),
        ("api/{word:alpha?}", "/api", {}),
        ("api/{word:alpha}", "/api/a1", None),
        ("api/{yes:bool}", "/api/TRUE", {"yes": "TRUE"}),
        ("api/{*path}", "/api", {}),
        ("api/{*path}", "/api/", {}),
        ("api/{*path}", "/api/v1/records", {"path": "v1/records"}),
        ("api/{*path}", "/api/v1//records/", {"path": "v1//records/"}),
        ("api/{**path}", "/api/v1", {"path": "v1"}),
        ("{*path}", "/", {}),
        ("a/{b}/c/{d}", "/a/1/c/2", {"b": "1", "d": "2"}),
        ("a/{b}/c/{d}", "/a/1/x/2", None),
    ],
)  # fmt: skip
def test_when_a_path_is_matched_then_the_template_says_what_it_means(
    template: str, path: str, parameters: dict[str, str] | None
) -> None:
    """Literals in any case, parameters, optional ones, constraints and catch-alls."""
    assert parameters == RouteTemplate.parse(template).match(path)


@pytest.mark.parametrize(
    "template",
    [
        "{*path}/x",
        "{id?}/x",
        "{id}/{ID}",
        "{id=7}",
        "v{id}",
        "{id",
        "id}",
        "{}",
        "{id:datetime}",
        "{id:int:min(1)}",
    ],
)
def test_when_a_template_is_beyond_this_host_then_it_is_refused(template: str) -> None:
    """A route that would be matched wrongly must not start."""
    with pytest.raises(ValueError, match=r"last segment|stands twice|not a parameter|not known"):
        RouteTemplate.parse(template)


def route(name: str, template: str, *methods: str) -> HttpRoute:
    """A function's route."""
    return HttpRoute(name, RouteTemplate.parse(template), frozenset(methods) or None)


def test_when_two_routes_fit_then_the_function_first_by_name_answers() -> None:
    """The real host tries functions in the order of their names, not of their declaration."""
    routes = (route("zebra", "api/ping"), route("Aardvark", "api/{id}"))

    found = find_route(routes, "GET", "/api/ping")

    assert found is not None
    assert ("Aardvark", {"id": "ping"}) == (found[0].function_name, found[1])


def test_when_the_method_is_another_then_the_next_route_is_tried() -> None:
    """The method is part of the match."""
    routes = (route("a", "api/x", "GET"), route("b", "api/x", "POST"))

    found = find_route(routes, "POST", "/api/x")

    assert found is not None
    assert "b" == found[0].function_name
    assert find_route(routes, "PUT", "/api/x") is None
