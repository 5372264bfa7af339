"""azure.yaml: azd's own schema lets unknown keys pass, so a misspelt one would do nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.bicep import MODULES, deploy_variant, only

CHECKOUT = Path(__file__).parents[2]
HOOKS = {
    f"{side}{event}": {
        "*": None,
        **dict.fromkeys(("shell", "run", "dir", "continueOnError", "interactive")),
    }
    for side in ("pre", "post")
    for event in ("provision", "package", "publish", "deploy", "up", "down")
}
KNOWN: dict[str, Any] = {
    "name": None,
    "requiredVersions": {"azd": None},
    "infra": {
        **dict.fromkeys(("provider", "path", "module")),
        "layers": dict.fromkeys(("name", "path", "module", "dependsOn")) | {"hooks": HOOKS},
    },
    "services": {
        "*": dict.fromkeys(("project", "dist", "language", "host", "remoteBuild"))
        | {"hooks": HOOKS}
    },
    "hooks": HOOKS,
}
"""The keys of azd 1.31 that a project like this one can have."""


def load() -> dict[str, Any]:
    """What the file says."""
    document: dict[str, Any] = yaml.safe_load((CHECKOUT / "azure.yaml").read_text("utf-8"))
    return document


def unknown_keys(value: Any, known: Any, place: str = "") -> Iterator[str]:
    """Every key that azd would pass over."""
    if isinstance(value, list):
        for item in value:
            yield from unknown_keys(item, known, place)
    elif isinstance(value, dict):
        for key, inside in value.items():
            names = known or {}
            if key not in names and "*" not in names:
                yield f"{place}.{key}"
            else:
                yield from unknown_keys(inside, names.get(key, names.get("*")), f"{place}.{key}")


def test_when_azd_reads_the_file_then_it_knows_every_key() -> None:
    """Nothing in it is passed over."""
    assert [] == list(unknown_keys(load(), KNOWN))


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ((), "service"),
        (("services", "function-app"), "remoteBuilt"),
        (("infra", "layers", 0), "modules"),
        (("requiredVersions",), "az"),
    ],
)
def test_when_a_key_is_misspelt_then_it_is_found(path: tuple[str | int, ...], key: str) -> None:
    """At any depth."""
    document = load()
    place: Any = document
    for step in path:
        place = place[step]
    place[key] = "x"

    (found,) = unknown_keys(document, KNOWN)
    assert found.endswith(f".{key}")


def test_when_azd_deploys_the_service_then_what_was_tested_goes_as_it_is() -> None:
    """Its default is to build in Azure again."""
    (service,) = load()["services"].values()

    assert service["remoteBuild"] is False
    assert ("python", "function") == (service["language"], service["host"])
    assert (CHECKOUT / service["project"] / "host.json").is_file()


def test_when_azd_looks_for_the_service_then_the_site_has_its_name() -> None:
    """It finds the site by a tag."""
    (name,) = load()["services"]
    tags = only(deploy_variant("table", tags={"owner": "team"}), "site").body["tags"]

    assert {"azd-service-name": name, "owner": "team"} == tags


def test_when_azd_provisions_then_its_layers_are_modules_in_order() -> None:
    """The app stands on the foundation."""
    layers = load()["infra"]["layers"]

    assert ["foundation", "app"] == [layer["module"] for layer in layers]
    assert ["foundation"] == layers[1]["dependsOn"]
    for layer in layers:
        assert CHECKOUT / layer["path"] / f"{layer['module']}.bicep" == MODULES[layer["module"]]
