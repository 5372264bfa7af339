"""The caller, on the way through the authorizer context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.principal import Principal, PrincipalMissingError, parse_context

PRINCIPAL = Principal(
    "object", "tenant", "client", frozenset({"Records.Write", "Records.Read"}), ""
)
ROLES = st.frozensets(st.from_regex(r"\A[!-~]{1,20}\Z"), max_size=5)


@given(st.text(), st.text(), st.text(), ROLES, st.text())
def test_when_a_principal_goes_through_the_context_then_it_comes_out(
    object_id: str, tenant_id: str, client_id: str, roles: frozenset[str], token_id: str
) -> None:
    """As a flat map of strings, which is all that API Gateway hands on."""
    principal = Principal(object_id, tenant_id, client_id, roles, token_id)
    context = principal.to_context()

    assert all(isinstance(value, str) for value in context.values())
    assert principal == parse_context(context)


def test_when_there_are_several_roles_then_their_order_is_fixed() -> None:
    """The same caller gives the same context, in every process."""
    assert "Records.Read Records.Write" == PRINCIPAL.to_context()["roles"]


def test_when_api_gateway_adds_members_then_they_are_ignored() -> None:
    """`principalId` and `integrationLatency` come along."""
    context = PRINCIPAL.to_context() | {"principalId": "object", "integrationLatency": 0}

    assert PRINCIPAL == parse_context(context)


@pytest.mark.parametrize("name", ["object_id", "tenant_id", "client_id", "roles", "token_id"])
@pytest.mark.parametrize("value", [None, 5, ["a"]])
def test_when_a_member_is_missing_or_no_string_then_there_is_no_principal(
    name: str, value: object
) -> None:
    """No authorizer stood in front of such a call."""
    context: dict[str, object] = dict(PRINCIPAL.to_context())
    with pytest.raises(PrincipalMissingError, match=name):
        parse_context(context | {name: value})
    del context[name]
    with pytest.raises(PrincipalMissingError, match=name):
        parse_context(context)
