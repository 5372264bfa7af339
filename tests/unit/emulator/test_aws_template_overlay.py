from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from emulator.aws.template import load_template
from emulator.aws.template_overlay import functions_in, overlay_for_local

TEMPLATE = load_template(Path(__file__).parents[3] / "infra" / "aws" / "template.yaml")
CODE_URIS = {name: f"s3://bucket/{name}" for name, _properties in functions_in(TEMPLATE)}
AUTHORITY = "http://127.0.0.1:4444"
ABSENT = object()


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each place where two templates differ, with what stands there afterward."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from differences(
                before.get(name, ABSENT), after.get(name, ABSENT), f"{path}/{name}"
            )
    elif before != after:
        yield path, after


def test_when_the_template_goes_local_then_nothing_but_the_listed_places_changes() -> None:
    """What runs here is what is deployed to AWS, but for these."""
    local = overlay_for_local(
        TEMPLATE,
        code_uris=CODE_URIS,
        parameters={"EntraCloud": "china"},
        authority=AUTHORITY,
    )

    function = "/Resources/{}Function/Properties"
    assert {
        "/Globals/Function/Runtime": "provided.al2023",
        "/Parameters/EntraCloud/Default": "china",
        f"{function.format('Authorizer')}/Environment/Variables/ENTRA_AUTHORITY": AUTHORITY,
        f"{function.format('Discovery')}/Environment/Variables/ENTRA_AUTHORITY": AUTHORITY,
        f"{function.format('Authorizer')}/CodeUri": "s3://bucket/AuthorizerFunction",
        f"{function.format('Records')}/CodeUri": "s3://bucket/RecordsFunction",
        f"{function.format('Discovery')}/CodeUri": "s3://bucket/DiscoveryFunction",
        f"{function.format('Health')}/CodeUri": "s3://bucket/HealthFunction",
    } == dict(differences(TEMPLATE, local))


def test_when_a_function_names_its_runtime_then_that_changes_too() -> None:
    """A function that does not take the default runtime still runs from its own bundle."""
    template = deepcopy(TEMPLATE)
    template["Resources"]["HealthFunction"]["Properties"]["Runtime"] = "python3.13"

    local = overlay_for_local(template, code_uris=CODE_URIS, parameters={}, authority=AUTHORITY)

    assert "provided.al2023" == local["Resources"]["HealthFunction"]["Properties"]["Runtime"]


def test_when_the_overlay_is_made_then_the_template_itself_is_untouched() -> None:
    """The caller's copy still is what AWS gets."""
    before = deepcopy(TEMPLATE)

    overlay_for_local(
        TEMPLATE, code_uris=CODE_URIS, parameters={"EntraCloud": "china"}, authority=AUTHORITY
    )

    assert before == TEMPLATE
