"""Reading settings."""

import pytest

from shared.settings_reader import Setting, SettingProblem, SettingsError, reading_settings

COUNT = Setting("COUNT", "How many.", "a whole number", int, example="3")
SIZE = Setting("SIZE", "How large.", "a whole number", int, default="7")
SECRET = Setting("SECRET", "A secret.", "a whole number", int, is_secret=True, example="3")


def read(environment: dict[str, str], *settings: Setting[int]) -> None:
    """Read these settings."""
    with reading_settings(environment) as reader:
        for setting in settings:
            reader.read(setting)


def problems(environment: dict[str, str], *settings: Setting[int]) -> list[str]:
    """What is wrong, as lines."""
    with pytest.raises(SettingsError) as caught:
        read(environment, *settings)
    return [str(problem) for problem in caught.value.problems]


def test_when_a_setting_is_given_then_it_is_parsed() -> None:
    """Without the whitespace around it."""
    with reading_settings({"COUNT": " 5\n"}) as reader:
        assert 5 == reader.read(COUNT)


@pytest.mark.parametrize("environment", [{}, {"SIZE": ""}, {"SIZE": "  "}])
def test_when_a_setting_is_absent_or_empty_then_its_default_is_read(
    environment: dict[str, str],
) -> None:
    """An empty value is no value."""
    with reading_settings(environment) as reader:
        assert 7 == reader.read(SIZE)
        assert not reader.is_set(SIZE)


def test_when_several_settings_are_wrong_then_all_are_reported_at_once() -> None:
    """Missing and malformed together, each with what is expected."""
    assert [
        "COUNT: is missing; expected a whole number",
        "SIZE: is not valid; expected a whole number",
    ] == problems({"SIZE": "many"}, COUNT, SIZE)


@pytest.mark.parametrize("setting", [COUNT, SECRET])
def test_when_a_value_is_wrong_then_it_is_not_shown(setting: Setting[int]) -> None:
    """It may be a secret that was put into the wrong setting."""
    (problem,) = problems({setting.name: "hunter2"}, setting)

    assert "hunter2" not in problem


def test_when_a_rule_across_settings_is_broken_then_it_is_reported_with_the_others() -> None:
    """`reject` notes what no single setting can see."""

    def read_with_rule() -> None:
        with reading_settings({"SIZE": "1"}) as reader:
            reader.read(COUNT)
            assert reader.is_set(SIZE)
            reader.reject(SIZE, "is less than COUNT")

    with pytest.raises(SettingsError) as caught:
        read_with_rule()

    assert ("COUNT", "SIZE") == tuple(problem.name for problem in caught.value.problems)
    assert SettingProblem("SIZE", "is less than COUNT") == caught.value.problems[1]
    assert "SIZE: is less than COUNT" in str(caught.value)
    assert "settings_invalid" == caught.value.code


@pytest.mark.parametrize("environment", [{}, {"COUNT": "many", "SIZE": "large"}])
def test_when_a_value_is_wrong_then_the_block_goes_on_with_a_right_one(
    environment: dict[str, str],
) -> None:
    """What the block computes from it has the type that it must have, and never leaves it."""
    values: list[int] = []

    def read_and_add() -> None:
        with reading_settings(environment) as reader:
            values.append(reader.read(COUNT) + reader.read(SIZE))
            assert reader.is_rejected(COUNT)

    with pytest.raises(SettingsError):
        read_and_add()

    assert [3 + 7] == values


def test_when_a_value_is_right_then_it_is_not_rejected() -> None:
    """A rule across settings asks before it blames one setting for what another one says."""
    with reading_settings({"COUNT": "5"}) as reader:
        reader.read(COUNT)

        assert not reader.is_rejected(COUNT)


def test_when_the_block_fails_by_itself_then_that_is_what_is_raised() -> None:
    """A fault in the reading code is not hidden behind the settings."""

    def read_and_fail() -> None:
        with reading_settings({}) as reader:
            reader.read(COUNT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_and_fail()
