"""The public metadata."""

import json
from typing import Any

import pytest

from aws_backend.errors import PublicUrlUnknown
from aws_backend.protected_resource import METADATA_PATH, ProtectedResourceApi
from aws_backend.proxy_event import parse_proxy_event
from aws_backend.settings import load_discovery_settings
from tests.support.proxy_event import proxy_event

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "22222222-2222-4222-8222-222222222222"


def metadata(
    event: dict[str, Any] | None = None, public_url: str | None = None, versions: str = "2.0"
) -> dict[str, Any]:
    """The document that the API answers with."""
    settings = load_discovery_settings(
        {
            "ENTRA_TENANT_ID": TENANT,
            "API_CLIENT_ID": CLIENT,
            "API_APP_ID_URI": f"api://{CLIENT}",
            "ACCEPTED_TOKEN_VERSIONS": versions,
        }
    )
    api = ProtectedResourceApi(settings.identity, public_url)
    operation = api.operations()["GET", METADATA_PATH]
    answer = operation(parse_proxy_event(event or proxy_event("GET", METADATA_PATH)))
    assert 200 == answer.status
    assert "application/json" == answer.headers["Content-Type"]
    document: dict[str, Any] = json.loads(answer.body)
    return document


def at(domain_name: object, path: str) -> dict[str, Any]:
    """An event that came in by this domain and path."""
    event = proxy_event("GET", METADATA_PATH, headers={"Host": "evil.example"})
    event["requestContext"] |= {"domainName": domain_name, "path": path}
    return event


@pytest.mark.parametrize("versions", ["2.0", "1.0", "1.0,2.0"])
def test_when_metadata_is_asked_for_then_it_says_how_to_get_a_token(versions: str) -> None:
    """Resource, authorization server, scope and the header (RFC 9728 section 2)."""
    assert {
        "resource": "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/prod",
        "authorization_servers": [f"https://login.microsoftonline.com/{TENANT}/v2.0"],
        "scopes_supported": [f"api://{CLIENT}/.default"],
        "bearer_methods_supported": ["header"],
        "azure_aws_bridge_api_client_id": CLIENT,
        "azure_aws_bridge_token_versions": versions.split(","),
    } == metadata(versions=versions)


def test_when_metadata_is_asked_for_then_it_does_not_say_who_is_let_in() -> None:
    """The allow-list would tell an attacker which identity to steal."""
    assert {
        "resource",
        "authorization_servers",
        "scopes_supported",
        "bearer_methods_supported",
        "azure_aws_bridge_api_client_id",
        "azure_aws_bridge_token_versions",
    } == set(metadata())


def test_when_a_public_url_is_set_then_it_is_the_resource() -> None:
    """The deployer's word counts before the gateway's."""
    url = "https://api.example.com/records"

    assert url == metadata(public_url=url)["resource"]


@pytest.mark.parametrize(
    ("domain", "path", "resource"),
    [
        ("api.example.com", METADATA_PATH, "https://api.example.com"),
        ("API.example.com", f"/v2{METADATA_PATH}", "https://api.example.com/v2"),
    ],
)
def test_when_a_custom_domain_was_called_then_its_base_path_replaces_the_stage(
    domain: str, path: str, resource: str
) -> None:
    """The resource is what the caller called, never the Host header."""
    assert resource == metadata(at(domain, path))["resource"]


@pytest.mark.parametrize(
    ("domain", "path"),
    [
        (None, f"/prod{METADATA_PATH}"),
        ("", f"/prod{METADATA_PATH}"),
        (1, f"/prod{METADATA_PATH}"),
        ("localhost", f"/prod{METADATA_PATH}"),
        ("a.example/x", f"/prod{METADATA_PATH}"),
        ("a.example@evil.example", f"/prod{METADATA_PATH}"),
        ("api.example.com", "/prod"),
        ("api.example.com", f"//evil.example{METADATA_PATH}"),
        ("api.example.com", f"/a b{METADATA_PATH}"),
    ],
)
def test_when_the_gateway_names_no_usable_url_then_nothing_is_made_up(
    domain: object, path: str
) -> None:
    """Metadata that names another resource is worse than none; our log names the setting."""
    with pytest.raises(PublicUrlUnknown) as caught:
        metadata(at(domain, path))

    assert "PUBLIC_URL" in str(caught.value.__cause__)
    assert "PUBLIC_URL" not in str(caught.value)
