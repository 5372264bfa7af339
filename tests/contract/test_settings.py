"""Settings, the example file and the README say the same."""

import json
import re
from pathlib import Path

import pytest

from azure_function_app.declared_settings import SETTINGS
from azure_function_app.settings import load_settings
from bridge_cli.settings_table import settings_by_deployable, to_markdown
from shared.settings_reader import Setting

CHECKOUT = Path(__file__).parents[2]
HOST_SETTINGS = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
FILLED_IN = {
    "AWS_API_BASE_URL": "https://abc123.execute-api.eu-west-1.amazonaws.com/prod",
    "ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
    "API_CLIENT_ID": "aaaaaaaa-0000-4000-8000-000000000001",
    "AZURE_CLIENT_ID": "bbbbbbbb-0000-4000-8000-000000000001",
    "AZURE_CLIENT_SECRET": "made-up",
}


def _example() -> dict[str, str]:
    text = (CHECKOUT / "local.settings.json.example").read_text(encoding="utf-8")
    values: dict[str, str] = json.loads(text)["Values"]
    return values


def test_when_a_setting_changes_then_the_readme_says_so() -> None:
    """The README holds the tables that the declarations make."""
    assert to_markdown() in (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_when_the_example_names_a_setting_then_the_app_reads_it() -> None:
    """The example file holds no setting that nothing reads."""
    declared = {setting.name for setting in SETTINGS}

    assert set(_example()) - HOST_SETTINGS <= declared


def test_when_the_example_is_copied_then_five_values_are_to_be_filled_in() -> None:
    """The values in angle brackets are exactly the five that nobody else can know."""
    to_fill_in = {name for name, value in _example().items() if re.search("<.*>", value)}

    assert FILLED_IN.keys() == to_fill_in


def test_when_the_five_values_are_filled_in_then_the_app_starts_with_them() -> None:
    """The example needs nothing beyond them."""
    settings = load_settings(_example() | FILLED_IN)

    assert FILLED_IN["AWS_API_BASE_URL"] == settings.api_base_url


@pytest.mark.parametrize("text", ["\u0665", "\uff15", "1_0", "+10", "1e1"])
def test_when_a_number_is_not_in_plain_digits_then_no_setting_takes_it(text: str) -> None:
    """Five and ten lie in the range of most settings; spelled like this, in none of them."""
    settings = {setting for group in settings_by_deployable().values() for setting in group}
    numeric = {setting for setting in settings if re.search(r"number|seconds", setting.expects)}

    assert len(numeric) > 10
    for setting in numeric:
        with pytest.raises(ValueError):  # noqa: PT011 - the reader of settings names what is wrong
            setting.parse(text)


def test_when_a_setting_stands_on_both_sides_then_it_is_one_declaration() -> None:
    """No name is declared twice with different meanings."""
    declared = [setting for group in settings_by_deployable().values() for setting in group]

    assert len({setting.name for setting in declared}) == len(declared)


@pytest.mark.parametrize(
    "setting",
    [setting for group in settings_by_deployable().values() for setting in group],
    ids=lambda setting: setting.name,
)
def test_when_a_setting_is_wrong_then_a_right_value_can_stand_in(setting: Setting[object]) -> None:
    """A required setting has an example, an optional one a default, and its parser takes it."""
    stand_in = setting.example if setting.default is None else setting.default

    assert (setting.default is None) == bool(setting.example)
    setting.parse(stand_in)
