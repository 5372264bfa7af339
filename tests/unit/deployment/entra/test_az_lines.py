"""The plan as `az` lines: each one parses, and no shell reads text from the directory."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deployment.entra.administrator import token_line
from deployment.entra.apply import apply_changes
from deployment.entra.az_lines import AzLine, to_az_lines, to_shell
from deployment.entra.changes import API_CLIENT_ID, API_PRINCIPAL_ID, Call
from deployment.entra.graph_client import GRAPH_URLS
from deployment.entra.plan import plan_entra
from deployment.entra.registration import WantedRegistration
from tests.support.azure_cli import complaints_of_azure_cli
from tests.support.graph import NAME, TENANT_ID, Tenant, wanted_registration

GRAPH = GRAPH_URLS["public"]


def prepare() -> tuple[Tenant, WantedRegistration]:
    """An empty tenant, and what is wanted of it."""
    tenant = Tenant()
    return tenant, wanted_registration(
        identity_principal_id=tenant.store.add_managed_identity("id").object_id,
        developers=(tenant.store.add_user("Dana"),),
    )


def lines_of(tenant: Tenant, wanted: WantedRegistration) -> tuple[AzLine, ...]:
    """The lines of the plan."""
    return to_az_lines(plan_entra(tenant.client(), wanted), GRAPH)


def test_when_lines_are_printed_then_azure_cli_parses_each_of_them() -> None:
    """Its own parser, for every kind of line that a plan can have."""
    tenant, wanted = prepare()
    first = lines_of(tenant, wanted)
    client = tenant.client()
    apply_changes(client, plan_entra(client, wanted))
    removed = lines_of(tenant, wanted_registration())

    lines = [*(line.arguments for line in (*first, *removed)), token_line(TENANT_ID)]

    assert 7 + 2 + 1 == len(lines)
    assert [None] * len(lines) == complaints_of_azure_cli(lines)


def test_when_a_line_has_a_wrong_option_then_the_parser_says_so() -> None:
    """The check bites."""
    tenant, wanted = prepare()
    line = lines_of(tenant, wanted)[0]
    broken = tuple("--methd" if part == "--method" else part for part in line.arguments)

    (complaint,) = complaints_of_azure_cli([broken])

    assert complaint is not None


def test_when_a_step_is_planned_then_its_line_does_the_same() -> None:
    """Method, address and body; what is not known yet is a shell variable in both."""
    tenant, wanted = prepare()
    changes = plan_entra(tenant.client(), wanted)

    for step, line in zip(changes.steps, to_az_lines(changes, GRAPH), strict=True):
        assert f"{GRAPH}/v1.0{step.path}" == line.arguments[line.arguments.index("--url") + 1]
        if isinstance(step, Call):
            assert step.method.lower() in line.arguments
            assert step.creates == ("Prefer=create-if-missing" in line.arguments)
            assert (step.body, f"@{line.file}") == (line.body, _body_of(line))
        else:
            assert (step.variable, "get") == (line.variable, line.arguments[3])


def _body_of(line: AzLine) -> str:
    return line.arguments[line.arguments.index("--body") + 1]


def _run(tmp_path: Path, lines: tuple[AzLine, ...]) -> list[list[str]]:
    """Run the script with an `az` that notes its arguments, and prints an ID where asked."""
    program = tmp_path / "az"
    program.write_text(
        '#!/bin/sh\nfor part in "$@"; do printf "%s\\037" "$part" >> "$LOG"; done\n'
        'printf "\\n" >> "$LOG"\necho 99999999-0000-4000-8000-000000000001\n'
    )
    program.chmod(0o700)
    log = tmp_path / "log"
    subprocess.run(
        ["/bin/sh", "-c", to_shell(lines)],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/bin:/usr/bin", "LOG": str(log)},
        capture_output=True,
        check=True,
    )
    return [row.split("\x1f")[:-1] for row in log.read_text().splitlines()]


def test_when_the_script_is_run_then_the_shell_passes_the_lines_on_as_they_are(
    tmp_path: Path,
) -> None:
    """Quotes and variables reach `az` as meant, and each file holds its body."""
    tenant, wanted = prepare()
    lines = lines_of(tenant, wanted)
    found = "99999999-0000-4000-8000-000000000001"

    ran = _run(tmp_path, lines)

    for line, arguments in zip(lines, ran, strict=True):
        expected = [
            part.replace(API_CLIENT_ID, found).replace(API_PRINCIPAL_ID, found)
            for part in line.arguments
        ]
        assert expected == ["az", *arguments]
        if line.body is not None:
            body = json.dumps(line.body).replace(API_PRINCIPAL_ID, found)
            assert json.loads(body) == json.loads((tmp_path / line.file).read_text())


@pytest.mark.parametrize("text", ["$(touch owned)", "`touch owned`", "$API_CLIENT_ID $HOME", "\\"])
def test_when_the_directory_holds_what_a_shell_would_run_then_it_is_only_text(
    tmp_path: Path, text: str
) -> None:
    """Somebody who may write a role's description runs nothing on the administrator's machine."""
    tenant, wanted = prepare()
    client = tenant.client()
    apply_changes(client, plan_entra(client, wanted))
    (application,) = tenant.store.applications.newest()
    foreign: dict[str, Any] = {
        **application["appRoles"][0],
        "id": "11111111-0000-4000-8000-000000000001",
        "value": "Else",
        "description": text,
    }
    roles = [foreign, {**application["appRoles"][0], "isEnabled": False}]
    tenant.store.applications.put({**application, "appRoles": roles})
    lines = lines_of(tenant, wanted)

    _run(tmp_path, lines)

    assert not (tmp_path / "owned").exists()
    (written,) = (file for file in tmp_path.glob("*.json") if "Else" in file.read_text())
    assert foreign in json.loads(written.read_text())["appRoles"]


def test_when_a_line_is_read_by_a_person_then_its_quotes_are_plain() -> None:
    """A page shows them as they are printed."""
    tenant, wanted = prepare()

    script = to_shell(lines_of(tenant, wanted))

    assert f"\"{GRAPH}/v1.0/applications(uniqueName='{NAME}')\"" in script
    assert all(shlex.split(row) for row in script.splitlines() if row.startswith("az "))
