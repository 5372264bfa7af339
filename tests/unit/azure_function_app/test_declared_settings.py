"""The declarations of the Function App's settings."""

from azure_function_app import declared_settings as subject
from azure_function_app.declared_settings import SETTINGS
from shared.settings_reader import Setting


def test_when_a_setting_is_declared_then_it_is_in_the_list() -> None:
    """A setting that is read but not listed would be in no template and no table."""
    declared = {value for value in vars(subject).values() if isinstance(value, Setting)}

    assert declared <= set(SETTINGS)
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
