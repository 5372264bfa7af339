"""The local Entra ID issues what the authorizer asks for, so a new rule reaches both."""

from typing import Literal

import pytest

from aws_authorizer.bootstrap import build_accepted_tokens
from aws_authorizer.claim_checks import (
    SignedClaims,
    build_claim_contract,
    check_access,
    check_identity,
    check_validity,
    parse_validity,
)
from emulator.entra.issuer import Issuer
from emulator.entra.key_store import KeyStore
from shared.contract import ApiIdentity
from shared.entra import TokenVersion, parse_local_authority
from shared.routes import Role
from tests.support.fake_clock import FakeClock
from tests.support.local_entra import API, CLIENT, TENANT_ID, with_api

CLOUD = parse_local_authority("http://127.0.0.1:9")


@pytest.mark.parametrize("version", [1, 2])
def test_when_the_emulator_issues_a_token_then_the_claim_contract_takes_it(
    version: Literal[1, 2],
) -> None:
    """Every row of the table, the times and the access, for each version of tokens."""
    clock = FakeClock()
    directory = with_api(requested_access_token_version=version)
    claims = Issuer(directory, KeyStore(clock), CLOUD, clock).claims_for(CLIENT)
    api = ApiIdentity(CLOUD, TENANT_ID, API.client_id, API.app_id_uri, frozenset(TokenVersion))
    contract = build_claim_contract(
        build_accepted_tokens(api, [TENANT_ID], []), client_ids={CLIENT.client_id}, roles=set(Role)
    )

    token = check_identity(claims, contract)
    begins, ends = parse_validity(claims, contract.leeway)
    check_validity(begins, ends, clock.now())

    assert claims["ver"] == token.version
    assert CLIENT.client_id == check_access(SignedClaims(claims), token, contract).client_id
