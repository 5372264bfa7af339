"""What bridge.toml takes as a value, and what it does not."""

import pytest

from deployment import bridge_keys as keys

GROUP = (
    "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/rg-alerts"
    "/providers/microsoft.insights/actionGroups/on-call"
)


def test_when_tags_are_given_then_each_value_is_a_text() -> None:
    """As Azure keeps them, numbers and switches too."""
    assert {"team": "data", "cost center": "7", "shared": "true"} == keys.TAGS.parse(
        {"team": "data", "cost center": 7, "shared": True}
    )


@pytest.mark.parametrize(
    "tags",
    [
        ["team"],
        {"team": ["data"]},
        {"": "x"},
        {"a/b": "x"},
        {"x" * 129: "x"},
        {"x": "y" * 257},
        {"Team": "a", "team": "b"},
        {"bridge-digest": "x"},
        {"Bridge-Digest-App": "x"},
        {"azd-service-name": "x"},
        {f"tag-{number}": "x" for number in range(41)},
    ],
)
def test_when_azure_or_we_could_not_keep_tags_then_they_are_refused(tags: object) -> None:
    """The ones that say what was deployed are ours."""
    with pytest.raises(ValueError, match=r"no (tags|table|single value)"):
        keys.TAGS.parse(tags)


def test_when_an_action_group_is_named_then_it_is_by_its_resource_id() -> None:
    """In either spelling of the provider; its name only would not be found."""
    assert GROUP == keys.ALERT_ACTION_GROUP_ID.parse(GROUP)
    for wrong in (
        "on-call",
        GROUP.replace("actionGroups", "components"),
        f"{GROUP}/x",
        f" {GROUP}",
    ):
        with pytest.raises(ValueError, match="not of this form"):
            keys.ALERT_ACTION_GROUP_ID.parse(wrong)
