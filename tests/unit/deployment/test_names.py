"""Names of resources: within what the clouds take, and never those of another environment."""

import re

from hypothesis import given
from hypothesis import strategies as st

from deployment.bridge_file import parse_bridge_file
from deployment.names import Names, names_of
from tests.support.bridge_files import SMALL

NAME = st.from_regex(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", fullmatch=True)
GUID = st.uuids(version=4).map(str)


def _names(name: str, environment: str, subscription: str) -> Names:
    text = (
        SMALL.replace('"bridge"', f'"{name}"')
        .replace("environments.dev", f"environments.{environment}")
        .replace("22222222-2222-4222-8222-222222222222", subscription)
    )
    return names_of(parse_bridge_file(text).environment(environment))


def test_when_the_names_are_made_then_they_are_those_of_the_page() -> None:
    """A resource keeps its name, so the names must not change."""
    names = _names("bridge", "dev", "22222222-2222-4222-8222-222222222222")

    assert "bridge-dev" == names.prefix == names.stack
    assert "rg-bridge-dev" == names.resource_group
    assert "func-bridge-dev-dc4a7a" == names.function_app
    assert "stbridgedevdc4a7a" == names.storage_account
    assert "api://11111111-1111-4111-8111-111111111111/bridge-dev-api" == names.app_id_uri


@given(name=NAME, environment=NAME, subscription=GUID)
def test_when_names_are_long_then_the_clouds_take_them(
    name: str, environment: str, subscription: str
) -> None:
    """A storage account has 24 letters and digits at most, a site 60 characters."""
    names = _names(name, environment, subscription)

    assert re.fullmatch(r"[a-z0-9]{3,24}", names.storage_account)
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,58}[a-z0-9]", names.function_app)
    assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", names.stack)
    assert re.fullmatch(r"[a-z][a-z0-9-]{2,62}", names.prefix)


@given(name=NAME, first=NAME, second=NAME, subscription=GUID)
def test_when_two_environments_differ_then_no_name_is_shared(
    name: str, first: str, second: str, subscription: str
) -> None:
    """Else the second deployment would change the first's resources."""
    if first == second:
        return
    one, other = _names(name, first, subscription), _names(name, second, subscription)

    shared = {
        field
        for field in Names.__dataclass_fields__
        if getattr(one, field) == getattr(other, field)
    }
    assert set() == shared


def test_when_only_the_hyphen_differs_then_no_account_is_shared() -> None:
    """A storage account's name has no hyphen, so the hash tells them apart."""
    subscription = "22222222-2222-4222-8222-222222222222"
    one, other = _names("aa-b", "c", subscription), _names("aa", "b-c", subscription)

    assert one.storage_account != other.storage_account
