"""bridge.toml, read: values, overriding, and every problem at once with its place."""

from pathlib import Path

import pytest

from deployment.bridge_file import load_bridge_file, parse_bridge_file
from deployment.bridge_keys import ENVIRONMENT_KEYS, REQUIRED, TABLES, Key
from deployment.errors import BridgeFileError, DeploymentError
from tests.support.bridge_files import EXAMPLE, SMALL

ALL_KEYS = [*ENVIRONMENT_KEYS, *(key for listed in TABLES.values() for key in listed)]


def problems_of(text: str) -> dict[tuple[str, str], str]:
    """Return what is wrong with the text: message by code and place."""
    with pytest.raises(BridgeFileError) as raised:
        parse_bridge_file(text)
    return {(each.code, each.place): each.message for each in raised.value.problems}


def test_when_the_example_is_read_then_both_environments_are_there() -> None:
    """A table at the top holds for both, and prod's own account counts before it."""
    bridge_file = parse_bridge_file(EXAMPLE)
    dev, prod = bridge_file.environment("dev"), bridge_file.environment("prod")

    assert ("123456789012", "210987654321") == (dev.aws.account_id, prod.aws.account_id)
    assert "eu-west-1" == dev.aws.region == prod.aws.region
    assert ("dev", "v1") == (dev.stage, prod.stage)
    assert (512, 2048) == (
        dev.function_app.instance_memory_mb,
        prod.function_app.instance_memory_mb,
    )
    assert {"SYNC_SCHEDULE": "0 */15 * * * *"} == dev.settings


def test_when_values_are_wrong_then_each_is_told_with_its_place() -> None:
    """All at once, and none of them is shown."""
    text = SMALL.replace('"123456789012"', "12").replace("westeurope", "West Europe")
    found = problems_of(text + "[environments.dev.entra]\ntoken_version = true\n")

    assert {
        ("value_invalid", "aws.account_id"),
        ("value_invalid", "azure.region"),
        ("value_invalid", "environments.dev.entra.token_version"),
    } == found.keys()
    assert (
        "is not valid; expected twelve digits in quotes" == found["value_invalid", "aws.account_id"]
    )


@pytest.mark.parametrize(
    ("line", "place", "advice"),
    [
        ("entar = 1", "entar", "is no key here; did you mean entra?"),
        ("[aws]\nregionn = 1", "aws.regionn", "did you mean region?"),
        ("[aws]\nsubscription_id = 1", "aws.subscription_id", "belongs into [azure]"),
        ("[environments.dev]\nstgae = 1", "environments.dev.stgae", "did you mean stage?"),
        ("[environments.dev.proxy]\nqqq = 1", "environments.dev.proxy.qqq", "expected one of"),
    ],
)
def test_when_a_key_is_unknown_then_the_nearest_right_one_is_named(
    line: str, place: str, advice: str
) -> None:
    """Or the table that it belongs to, or all there are."""
    assert advice in problems_of(line)["key_unknown", place]


def test_when_required_keys_are_missing_then_each_is_told_once() -> None:
    """Where they would stand, though two environments lack them."""
    found = problems_of("[environments.dev]\n[environments.prod]\n")

    assert {
        ("key_missing", place)
        for place in (
            "name",
            "entra.tenant_id",
            "azure.subscription_id",
            "azure.region",
            "aws.account_id",
            "aws.region",
        )
    } == found.keys()


@pytest.mark.parametrize("name", ["Dev", "1", "a" * 17, "-a", "a-"])
def test_when_an_environment_has_no_name_for_resources_then_it_is_refused(name: str) -> None:
    """Names of resources are made of it."""
    text = SMALL.replace("[environments.dev]", f'[environments."{name}"]')

    assert ("value_invalid", f"environments.{name}") in problems_of(text)


def test_when_there_is_no_environment_then_one_is_asked_for() -> None:
    """Nothing could be deployed."""
    text = SMALL.replace("[environments.dev]", "")

    assert ("key_missing", "environments") in problems_of(text)


@pytest.mark.parametrize("line", ["aws = 1", "[environments]\ndev = 1", "environments = 1"])
def test_when_a_table_is_no_table_then_it_is_said(line: str) -> None:
    """As any other wrong value."""
    assert any(code == "value_invalid" for code, _place in problems_of(line))


def test_when_a_setting_is_a_list_then_it_is_refused() -> None:
    """A setting is one text."""
    found = problems_of(f"{SMALL}[settings]\nSYNC_SCHEDULE = [1]\n")

    assert {("value_invalid", "settings.SYNC_SCHEDULE")} == found.keys()


def test_when_settings_are_numbers_and_switches_then_they_are_spelled_as_settings() -> None:
    """TOML's own types need no quotes."""
    text = f"{SMALL}[environments.dev.settings]\nA = true\nB = 5\nC = 0.5\n"

    assert {"A": "true", "B": "5", "C": "0.5"} == parse_bridge_file(text).environment(
        "dev"
    ).settings


def test_when_the_text_is_no_toml_then_the_line_is_named() -> None:
    """As tomllib says it."""
    ((code, _place),) = problems_of("name = ").keys()

    assert "bridge_file_not_toml" == code


def test_when_a_hyphenated_environment_has_no_stage_then_it_gets_a_fitting_one() -> None:
    """A stage has no hyphens."""
    text = SMALL.replace("environments.dev", "environments.eu-dev")

    assert "eu_dev" == parse_bridge_file(text).environment("eu-dev").stage


def test_when_one_environment_is_there_then_it_need_not_be_named() -> None:
    """With two of them it must be, and it must be one of them."""
    assert "dev" == parse_bridge_file(SMALL).environment(None).name
    with pytest.raises(DeploymentError, match="--env with one of dev, prod") as unnamed:
        parse_bridge_file(EXAMPLE).environment(None)
    with pytest.raises(DeploymentError, match=r"no \[environments.test\]") as unknown:
        parse_bridge_file(EXAMPLE).environment("test")

    assert ("environment_unnamed", "environment_unknown") == (
        unnamed.value.code,
        unknown.value.code,
    )


def test_when_the_file_is_missing_or_no_text_then_it_is_said(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DeploymentError, match=r"copy bridge.toml.example") as missing:
        load_bridge_file(tmp_path / "bridge.toml")
    with pytest.raises(DeploymentError) as unreadable:
        load_bridge_file(tmp_path / "binary.toml")

    assert "bridge_file_missing" == missing.value.code
    assert "bridge_file_unreadable" == unreadable.value.code


def test_when_a_file_is_loaded_then_it_is_parsed(tmp_path: Path) -> None:
    """From the disk as from a text."""
    (tmp_path / "bridge.toml").write_text(SMALL, encoding="utf-8")

    assert "bridge" == load_bridge_file(tmp_path / "bridge.toml").name


@pytest.mark.parametrize("key", ALL_KEYS, ids=lambda key: key.name)
def test_when_a_key_is_declared_then_its_example_and_default_are_right_values(
    key: Key[object],
) -> None:
    """The example stands in for a wrong value, so it must be a right one."""
    key.parse(key.example)
    if key.default is not REQUIRED:
        key.parse(key.default)


@pytest.mark.parametrize("key", ALL_KEYS, ids=lambda key: key.name)
@pytest.mark.parametrize("value", [None, 1.5, "\n", -1, [1], ["x"], {"a": []}])
def test_when_a_value_is_of_no_use_then_no_key_takes_it(key: Key[object], value: object) -> None:
    """Whatever its type."""
    with pytest.raises(ValueError, match=r"."):
        key.parse(value)


def test_when_a_list_names_somebody_twice_then_it_is_refused() -> None:
    """A second time is a mistake, such as a line that was copied and not changed."""
    guid = "33333333-3333-4333-8333-333333333333"
    text = f'{SMALL}developers = ["{guid}", "{guid}"]\n'

    assert {("value_invalid", "environments.dev.developers")} == problems_of(text).keys()


def test_when_a_key_stands_at_the_top_then_its_place_is_there() -> None:
    """And in the environment where it stands there; where it would stand where it does not."""
    text = f'{SMALL}stage = "x"\n[environments.dev.aws]\nprofile = "p"\n'
    environment = parse_bridge_file(text).environment("dev")

    assert "aws.region" == environment.place("aws.region")
    assert "environments.dev.aws.profile" == environment.place("aws.profile")
    assert "aws.custom_domain" == environment.place("aws.custom_domain")
    assert "environments.dev.stage" == environment.place("stage")
    assert "environments.dev.settings.X" == environment.place("settings.X")


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, f"a = {'9' * 5000}"], ids=["deep", "many digits"]
)
def test_when_the_parser_gives_up_then_the_file_is_no_toml(text: str) -> None:
    """Python's parser has limits of its own, and other errors for them."""
    with pytest.raises(BridgeFileError, match="is no TOML"):
        parse_bridge_file(text)


def test_when_the_file_begins_with_a_byte_order_mark_then_it_is_read(tmp_path: Path) -> None:
    """Windows' Notepad writes one."""
    path = tmp_path / "bridge.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())

    assert "bridge" == load_bridge_file(path).name


def test_when_a_profile_looks_like_an_option_then_it_is_refused() -> None:
    """The programs that get it would read it as one."""
    text = f'{SMALL}[environments.dev.aws]\nprofile = "--debug"\n'

    with pytest.raises(BridgeFileError, match=r"aws\.profile"):
        parse_bridge_file(text)
