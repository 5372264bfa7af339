"""What the doctor's probes see of a pair that is well, for tests to tell one lie about."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

import httpx

from azure_function_app.doctor.evidence import Evidence
from azure_function_app.doctor.examination import judge
from azure_function_app.doctor.probes.exchange import Answered, Unanswered
from azure_function_app.doctor.probes.obstacle import Obstacle
from azure_function_app.doctor.probes.store_trial import StoreOutcome
from azure_function_app.doctor.probes.token_request import TokenFailed, TokenObtained
from azure_function_app.doctor.report import Check, CheckName, Status
from azure_function_app.doctor.subject import Subject
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.settings import inspect_settings
from tests.support.fake_clock import FakeClock

TENANT: Final = "11111111-2222-4333-8444-555555555555"
OTHER: Final = "99999999-2222-4333-8444-555555555555"
API: Final = "aaaaaaaa-0000-4000-8000-000000000001"
CALLER: Final = "bbbbbbbb-0000-4000-8000-000000000002"
URI: Final = "api://bridge"
LOGIN: Final = "https://login.microsoftonline.com"
BASE_URL: Final = "https://abc123.execute-api.eu-west-1.amazonaws.com/prod"
NOW: Final = 1_700_000_000.0

ENVIRONMENT: Final = {
    "AWS_API_BASE_URL": BASE_URL,
    "ENTRA_TENANT_ID": TENANT,
    "API_CLIENT_ID": API,
    "API_APP_ID_URI": URI,
    "SQLITE_PATH": "/tmp/records.sqlite3",  # noqa: S108 - nobody opens it
    "SYNC_SCHEDULE": "0 0 * * * *",
    "IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi",
}
SECRET: Final = {
    "CREDENTIAL": "client_secret",
    "AZURE_CLIENT_ID": CALLER,
    "AZURE_CLIENT_SECRET": "made-up",
}
CLAIMS: Final = {
    "ver": "2.0",
    "tid": TENANT,
    "iss": f"{LOGIN}/{TENANT}/v2.0",
    "aud": API,
    "azp": CALLER,
    "oid": "cccccccc-0000-4000-8000-000000000003",
    "roles": ["Records.Read"],
    "iat": int(NOW) - 300,
    "nbf": int(NOW) - 300,
    "exp": int(NOW) + 3_600,
}
METADATA: Final = {
    "resource": BASE_URL,
    "authorization_servers": [f"{LOGIN}/{TENANT}/v2.0"],
    "scopes_supported": [f"{URI}/.default"],
    "bearer_methods_supported": ["header"],
    "azure_aws_bridge_api_client_id": API,
    "azure_aws_bridge_token_versions": ["2.0"],
}


def subject(at: str = "function_app", **environment: str) -> Subject:
    """An app with these settings over sound ones."""
    given = {**ENVIRONMENT, **environment}
    return Subject(inspect_settings(given), given, at, FakeClock(NOW))


def answered(
    document: object = None,
    status: int = 200,
    *,
    content: bytes | None = None,
    at: float = NOW,
    **headers: str,
) -> Answered:
    """An answer, JSON unless told otherwise."""
    fields = {
        "content-type": "application/json",
        "date": format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True),
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(document).encode() if content is None else content
    return Answered(status, httpx.Headers(fields), body, 0.02, NOW)


def problem(status: int, code: str = "", error_type: str = "", **headers: str) -> Answered:
    """A refusal of the gateway's, or of the backend's."""
    named: dict[str, Any] = {"x_amzn_errortype": error_type} if error_type else {}
    return answered(
        {"code": code, "status": status},
        status,
        content_type="application/problem+json",
        **(named | headers),
    )


def unanswered(obstacle: Obstacle, detail: str = "no answer") -> Unanswered:
    """No answer."""
    return Unanswered(obstacle, detail, 0.1)


def token_text(claims: Mapping[str, object], key_id: str = "k1") -> str:
    """A token whose signature nobody looks at."""
    parts = ({"alg": "RS256", "kid": key_id}, claims)
    encoded = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
    ]
    return ".".join([*encoded, "c2ln"])


def obtained(claims: Mapping[str, object] = CLAIMS, key_id: str = "k1") -> TokenObtained:
    """A token that came."""
    text = token_text(claims, key_id)
    header = {"alg": "RS256", "kid": key_id}
    return TokenObtained(AccessToken(text, NOW + 3_600), 0.1, claims, header)


def failed(**fields: Any) -> TokenFailed:
    """No token came."""
    return TokenFailed(0.1, **fields)


def evidence(**lies: Any) -> Evidence:
    """What is seen of a pair that is well, but for the lies."""
    seen: dict[str, Any] = {
        "token": obtained(),
        "discovery": answered({"issuer": f"{LOGIN}/{TENANT}/v2.0"}),
        "key_set": answered({"keys": [{"kid": "k1"}, {"kid": "k2"}]}),
        "health": answered({"status": "ok"}),
        "metadata": answered(METADATA),
        "call": answered({"items": [], "next_cursor": "x", "has_more": False}),
        "store": StoreOutcome(0.05),
    }
    return Evidence(NOW, **(seen | lies))


def judged(app: Subject | None = None, **lies: Any) -> dict[CheckName, Check]:
    """Every check, by name."""
    return {check.name: check for check in judge(app or subject(), evidence(**lies))}


def failures(checks: Mapping[CheckName, Check]) -> list[tuple[str, str]]:
    """The failed checks with their causes."""
    return [(c.name.value, str(c.cause)) for c in checks.values() if c.status is Status.FAILED]
