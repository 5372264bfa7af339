"""The page on the registration says what the code makes, names and asks for."""

import re
import shlex
from pathlib import Path

import pytest

from bridge_cli.deploying import entra_command
from deployment.entra import administrator, application_plan, graph_client, plan
from deployment.entra.plan import plan_entra
from deployment.entra.registration import (
    AZURE_CLI_CLIENT_ID,
    DEVELOPER_SCOPE,
    IDENTITY_TYPE_CLAIM,
    MEMBER_TYPES,
    SIGN_IN_AUDIENCE,
    authorizer_settings,
)
from emulator.entra.graph.rights import ADMINISTRATOR_RIGHTS
from shared.reasons import Reason
from shared.routes import Role
from tests.support.azure_cli import complaints_of_azure_cli
from tests.support.graph import TENANT_ID, Tenant, wanted_registration

PAGE = (Path(__file__).parents[2] / "docs" / "entra.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("|")]
MODULES = (administrator, application_plan, entra_command, graph_client, plan)
CODES = {
    code
    for module in MODULES
    for code in re.findall(
        r'"((?:az|graph|entra|local)_[a-z_]+)",', Path(str(module.__file__)).read_text("utf-8")
    )
}


def planned_fields() -> set[str]:
    """Every field that a whole plan is about, without the names in brackets."""
    tenant = Tenant()
    wanted = wanted_registration(
        identity_principal_id=tenant.store.add_managed_identity("id").object_id,
        developers=(tenant.store.add_user("Dana"),),
    )
    return {d.field.partition("[")[0] for d in plan_entra(tenant.client(), wanted).differences}


def test_when_fields_and_codes_are_looked_for_then_they_are_found() -> None:
    """Else the next tests would find nothing wrong in nothing."""
    assert 11 <= len(planned_fields())
    assert 14 <= len(CODES)


@pytest.mark.parametrize("field", sorted(planned_fields() - {"appRoleAssignments"}))
def test_when_the_plan_is_about_a_field_then_the_page_says_why_it_matters(field: str) -> None:
    """With the name that Graph has for it."""
    if field == "appRoleAssignmentRequired":
        assert "`appRoleAssignmentRequired: true`" in PAGE
    else:
        assert any(row.startswith(f"| `{field}` |") for row in ROWS)


def test_when_the_page_has_a_field_then_the_plan_is_about_it() -> None:
    """A field that is gone from the code goes from the page."""
    start = PAGE.index("| Field | Value | Why |")
    table = PAGE[start : PAGE.index("\n\n", start)]
    named = set(re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE))

    assert planned_fields() - {"appRoleAssignments", "appRoleAssignmentRequired"} == named


def test_when_the_page_gives_a_value_then_it_is_the_codes() -> None:
    """Each in the row of its field."""
    rows = {row.split("`")[1]: row for row in ROWS if row.startswith("| `")}
    wanted = wanted_registration()

    assert f"`{SIGN_IN_AUDIENCE}`" in rows["signInAudience"]
    assert f"`{wanted.token_version}`" in rows["api.requestedAccessTokenVersion"]
    assert f"`{DEVELOPER_SCOPE}`" in rows["api.oauth2PermissionScopes"]
    assert f"`{AZURE_CLI_CLIENT_ID}`" in rows["api.preAuthorizedApplications"]
    assert f"`{IDENTITY_TYPE_CLAIM}`" in rows["optionalClaims.accessToken"]
    assert f"`{wanted.name}`" in rows["uniqueName"]
    uri = wanted.app_id_uri.replace(wanted.tenant_id, "<tenant id>")
    assert f"`{uri}`" in rows["identifierUris"]
    assert " and ".join(f"`{member}`" for member in MEMBER_TYPES) in PAGE


@pytest.mark.parametrize("role", Role)
def test_when_the_api_has_a_role_then_the_page_has_its_row(role: Role) -> None:
    """Renaming one is seen here."""
    assert any(row.startswith(f"| `{role}` |") for row in ROWS)


def test_when_developers_are_named_then_the_page_says_what_the_authorizer_is_told() -> None:
    """The same words as `bridge entra` prints."""
    developer = "0b1d0000-0000-4000-8000-000000000001"
    settings = authorizer_settings(wanted_registration(developers=(developer,)))

    assert f"`{settings['DELEGATED_SCOPES']}`" in PAGE
    assert all(f"`{name}`" in PAGE for name in settings)


@pytest.mark.parametrize("code", sorted(CODES))
def test_when_the_command_ends_with_a_code_then_the_page_says_what_to_do(code: str) -> None:
    """One row may have several."""
    assert any(f"`{code}`" in row.split("|")[1] for row in ROWS)


@pytest.mark.parametrize("right", ADMINISTRATOR_RIGHTS)
def test_when_graph_asks_for_a_right_then_the_page_says_who_has_it(right: str) -> None:
    """What the local Graph asks for."""
    assert any(f"`{right}`" in row for row in ROWS)


def test_when_the_page_has_an_az_line_then_azure_cli_parses_it() -> None:
    """What people copy is what the Azure CLI takes."""
    page = PAGE.replace("<tenant id>", TENANT_ID).replace("<client id>", TENANT_ID)
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    copied = [line for block in blocks for line in block.splitlines() if line.startswith("az ")]
    copied += re.findall(r"`(az \w[^`]*)`", " ".join(page.split()))
    lines = [shlex.split(line, comments=True) for line in copied]

    assert 6 == len(lines)
    assert [None] * 6 == complaints_of_azure_cli(lines)


def test_when_the_first_401_is_told_then_its_reason_is_the_logs() -> None:
    """So that a search for it ends here."""
    assert f"`{Reason.UNACCEPTED_VERSION}`" in PAGE[PAGE.index("## The first 401") :]
