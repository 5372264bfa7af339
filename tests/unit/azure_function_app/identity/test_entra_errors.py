"""What Entra ID says, as the setting to change."""

import pytest

from azure_function_app.identity.entra_errors import aadsts_code, explain_token_failure
from azure_function_app.settings import load_settings

TENANT = "11111111-2222-4333-8444-555555555555"
API = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT = "bbbbbbbb-0000-4000-8000-000000000001"
NEEDED = {
    "AWS_API_BASE_URL": "https://api.example/prod",
    "ENTRA_TENANT_ID": TENANT,
    "API_CLIENT_ID": API,
    "AZURE_CLIENT_ID": CLIENT,
}
SECRET = load_settings(
    NEEDED | {"CREDENTIAL": "client_secret", "AZURE_CLIENT_SECRET": "s~1"}
).token_source


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("500011", "API_APP_ID_URI"),
        ("50001", "API_APP_ID_URI"),
        ("501051", "Records.Read"),
        ("50105", "assign a role"),
        ("65001", "administrator"),
        ("70011", "API_APP_ID_URI"),
        ("1002012", f"api://{API}/.default"),
        ("90002", "ENTRA_TENANT_ID"),
        ("900023", TENANT),
        ("700016", CLIENT),
        ("7000215", "AZURE_CLIENT_SECRET"),
        ("7000222", "expired"),
        ("7000112", "disabled"),
        ("700027", "AZURE_CLIENT_CERTIFICATE_PATH"),
        ("700024", "clock"),
        ("700213", "federated credential"),
        ("7002131", "federated credential"),
        ("70021", "federated credential"),
        ("700211", "issuer"),
        ("700212", "audience"),
    ],
)
def test_when_entra_gives_a_code_then_the_sentence_names_what_to_change(
    code: str, named: str
) -> None:
    """The setting, or the identity, and the code itself for whoever searches for it."""
    text = f"Authentication failed: AADSTS{code}: words that may change. Trace ID: 1"

    stable, message = explain_token_failure(text, SECRET)

    assert "token_refused" == stable
    assert named in message
    assert f"(AADSTS{code})" in message
    assert "words that may change" not in message
    assert "{" not in message


def test_when_the_code_is_new_then_it_is_told_all_the_same() -> None:
    """Whoever reads it can look it up."""
    assert (
        "token_refused",
        "No access token: Entra ID refused to give a token (AADSTS999999).",
    ) == explain_token_failure("AADSTS999999: new", SECRET)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "AZURE_CLIENT_ID"),
        (
            {"CREDENTIAL": "client_secret", "AZURE_CLIENT_SECRET": "s~1"},
            "https://login.microsoftonline.com",
        ),
        (
            {"CREDENTIAL": "client_certificate", "AZURE_CLIENT_CERTIFICATE_PATH": "x"},
            "AZURE_CLIENT_CERTIFICATE_PATH",
        ),
        (
            {"CREDENTIAL": "workload_identity", "AZURE_FEDERATED_TOKEN_FILE": "x"},
            "AZURE_FEDERATED_TOKEN_FILE",
        ),
        (
            {"CREDENTIAL": "managed_identity_federation", "MANAGED_IDENTITY_CLIENT_ID": CLIENT},
            "MANAGED_IDENTITY_CLIENT_ID",
        ),
        ({"CREDENTIAL": "azure_cli"}, f"az login --tenant {TENANT}"),
    ],
)
def test_when_there_is_no_code_then_the_sentence_names_what_the_credential_needs(
    environment: dict[str, str], named: str
) -> None:
    """Each kind has its own first thing to look at."""
    stable, message = explain_token_failure(
        "no route to host", load_settings(NEEDED | environment).token_source
    )

    assert "token_unavailable" == stable
    assert named in message


@pytest.mark.parametrize("text", ["", "AADSTS", "AADSTS12", "xAADSTS50001", "AADSTS1234567890"])
def test_when_a_text_holds_no_code_then_there_is_none(text: str) -> None:
    """Too short, too long, or part of a word."""
    assert aadsts_code(text) is None
