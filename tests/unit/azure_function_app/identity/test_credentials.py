"""The credentials of azure-identity, without asking anybody for a token."""

from azure_function_app.identity import credentials
from shared.entra import CLOUDS, parse_local_authority


def test_when_a_cloud_can_be_named_then_a_managed_identity_can_vouch_in_it() -> None:
    """Each cloud has a scope of its own for the token that serves as an assertion."""
    local = parse_local_authority("http://127.0.0.1:1")

    assert {*CLOUDS, local.name} == set(credentials._EXCHANGE_SCOPES)
