"""The settings for a company's network."""

import pytest

from azure_function_app import network_settings as subject
from azure_function_app.network_settings import (
    NETWORK_SETTINGS,
    NetworkSettings,
    read_network_settings,
)
from shared.settings_reader import Setting, SettingsError, reading_settings

KEY = "made-up-key-0123456789"


def load(**environment: str) -> NetworkSettings:
    """The settings that this environment makes."""
    with reading_settings(environment) as reader:
        return read_network_settings(reader)


def problems(**environment: str) -> dict[str, str]:
    """Each setting that has a problem, with what is said about it."""
    with pytest.raises(SettingsError) as caught:
        load(**environment)
    return {problem.name: problem.message for problem in caught.value.problems}


def test_when_a_setting_is_declared_then_it_is_in_the_list() -> None:
    """A setting that is read but not listed would be in no template and no table."""
    declared = {value for value in vars(subject).values() if isinstance(value, Setting)}

    assert declared == set(NETWORK_SETTINGS)


def test_when_nothing_is_given_then_nothing_is_sent_or_trusted_besides() -> None:
    """The open internet needs none of it."""
    assert NetworkSettings(api_key=None) == load()


@pytest.mark.parametrize("key", ["k" * 20, "k" * 128, "!#$%&()*+-./:;<=>?@[]^_`{|}~"])
def test_when_an_api_key_is_given_then_it_is_taken(key: str) -> None:
    """Of 20 to 128 visible characters."""
    assert key == load(AWS_API_KEY=key).api_key


@pytest.mark.parametrize(
    "key", ["k" * 19, "k" * 129, f"{KEY} {KEY}", f"{KEY}\r\nhost: a", f"{KEY}é", f"{KEY},{KEY}"]
)
def test_when_an_api_key_cannot_be_one_then_it_is_refused_and_not_shown(key: str) -> None:
    """Neither a line break nor a second key gets into the header."""
    (message,) = problems(AWS_API_KEY=key).values()

    assert key not in message
