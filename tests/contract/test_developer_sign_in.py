"""Whom the deployed whole lets in by a person's own sign-in: named developers, and nobody else.

The authorizer is told what bridge.toml says, and asked about tokens as Entra ID issues them to the
Azure CLI, which everybody of the tenant can sign in with.
"""

import pytest

from aws_authorizer.bootstrap import build_accepted_tokens
from aws_authorizer.claim_checks import (
    SignedClaims,
    build_claim_contract,
    check_access,
    check_identity,
)
from aws_authorizer.errors import AccessDenied, TokenRejected
from aws_authorizer.settings import load_settings
from deployment.bridge_file import Environment
from deployment.entra.registration import AZURE_CLI_CLIENT_ID, DEVELOPER_SCOPE
from deployment.parameters.derived_settings import authorizer_settings
from deployment.values import STAND_INS, Value
from shared.reasons import Reason
from shared.routes import PROTECTED_ROUTES, Role
from tests.support.bridge_files import EXAMPLE, environment_of
from tests.support.tokens import valid_claims

DEV, PROD = environment_of(EXAMPLE, "dev"), environment_of(EXAMPLE, "prod")
TENANT = DEV.entra.tenant_id
API = STAND_INS[Value.API_CLIENT_ID]
IDENTITY = STAND_INS[Value.IDENTITY_CLIENT_ID]


def lets_in(environment: Environment, **claims: object) -> set[str] | Reason:
    """The roles with which the environment's authorizer lets a token in, or why it does not."""
    settings = load_settings(authorizer_settings(environment, STAND_INS))
    contract = build_claim_contract(
        build_accepted_tokens(settings.api, [settings.api.tenant_id], ()),
        client_ids=settings.allowed_client_ids,
        roles={str(route.role) for route in PROTECTED_ROUTES},
        delegated_scopes=settings.delegated_scopes,
    )
    issuer = f"https://login.microsoftonline.com/{TENANT}/v2.0"
    found = valid_claims(**({"aud": API, "tid": TENANT, "iss": issuer} | claims))
    try:
        token = check_identity(found, contract)
        return set(check_access(SignedClaims(found), token, contract).roles)
    except (AccessDenied, TokenRejected) as refused:
        return refused.reason


def by_azure_cli(**claims: object) -> dict[str, object]:
    """The claims of somebody's own token: of a public client, with the developers' scope."""
    person = {"azp": AZURE_CLI_CLIENT_ID, "azpacr": "0", "idtyp": "user", "scp": DEVELOPER_SCOPE}
    return person | {"sub": "pairwise"} | claims


def test_when_a_named_developer_calls_then_he_may_read() -> None:
    """Also where he has been assigned more: the scope lends no more."""
    assert {str(Role.READ)} == lets_in(DEV, **by_azure_cli(roles=[Role.READ]))
    assert {str(Role.READ)} == lets_in(DEV, **by_azure_cli(roles=[Role.READ, Role.WRITE]))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"roles": None}, Reason.MISSING_ROLE),
        ({"roles": []}, Reason.MISSING_ROLE),
        ({"roles": [Role.WRITE]}, Reason.MISSING_ROLE),
        ({"roles": None, "acct": 1}, Reason.MISSING_ROLE),
        ({"scp": "user_impersonation"}, Reason.MISSING_SCOPE),
        ({"idtyp": "app", "scp": None}, Reason.UNAUTHENTICATED_CLIENT),
    ],
    ids=["nobody", "no roles", "another role", "a guest", "another scope", "no person"],
)
def test_when_somebody_else_signs_in_by_the_azure_cli_then_he_is_not_let_in(
    claims: dict[str, object], reason: Reason
) -> None:
    """A user of the tenant or a guest, even if the tenant issued the token in spite of all."""
    assert reason == lets_in(DEV, **by_azure_cli(**claims))


def test_when_no_developer_is_named_then_no_person_gets_in() -> None:
    """As in production: not even somebody with every role."""
    token = by_azure_cli(roles=[Role.READ, Role.WRITE])

    assert Reason.UNKNOWN_CLIENT == lets_in(PROD, **token)
    assert Reason.DELEGATED_TOKEN == lets_in(PROD, **(token | {"azp": IDENTITY}))


def test_when_the_function_apps_identity_calls_then_it_is_let_in() -> None:
    """In both; else nothing above would mean anything."""
    for environment in (DEV, PROD):
        assert {str(Role.READ)} == lets_in(environment, azp=IDENTITY, roles=[Role.READ])


def test_when_another_environments_token_comes_then_it_is_for_another_audience() -> None:
    """Each has a registration of its own, so a token for dev is none for prod."""
    other = "00000000-0000-0000-0000-0000000000dd"

    assert isinstance(lets_in(PROD, azp=IDENTITY, aud=other), Reason)
