"""What App Service puts on the request of a caller whom it has signed in."""

import base64
import json

TENANT_ID = "11111111-2222-4333-8444-555555555555"
OBJECT_ID = "0b1ec700-0000-4000-8000-000000000001"
ISSUER = f"https://login.microsoftonline.com/{TENANT_ID}/v2.0"
SCHEMA = "http://schemas.microsoft.com/identity/claims/"
ROLE_TYPE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"

type Claims = list[tuple[str, str]]

IDENTITY: Claims = [
    ("iss", ISSUER),
    ("name", "Ann Example"),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "ann@example.org"),
    (f"{SCHEMA}objectidentifier", OBJECT_ID),
    (f"{SCHEMA}tenantid", TENANT_ID),
]
"""The claims of a member of the tenant, under the names that App Service's mapping gives them."""


def roles(*names: str) -> Claims:
    """Claims of these app roles."""
    return [("roles", name) for name in names]


def without(claims: Claims, *names: str) -> Claims:
    """The claims but for those."""
    return [(name, value) for name, value in claims if name not in names]


def encode(document: object) -> str:
    """The header's value for the document, which may be bytes that are none."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.b64encode(text).decode()


def principal(claims: Claims, **members: object) -> dict[str, object]:
    """The document, with those of its members bent."""
    return {
        "auth_typ": "aad",
        "claims": [{"typ": name, "val": value} for name, value in claims],
        "name_typ": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "role_typ": ROLE_TYPE,
    } | members


def signed_in(*role_names: str, claims: Claims | None = None) -> dict[str, str]:
    """All the headers of a caller with these app roles."""
    return {
        "x-ms-client-principal": encode(principal([*(claims or IDENTITY), *roles(*role_names)])),
        "x-ms-client-principal-id": OBJECT_ID,
        "x-ms-client-principal-idp": "aad",
        "x-ms-client-principal-name": "ann@example.org",
    }
