"""Events as API Gateway sends them to a Lambda proxy integration."""

from collections.abc import Mapping
from typing import Any

CALLER = {
    "object_id": "44444444-4444-4444-8444-444444444444",
    "tenant_id": "11111111-1111-4111-8111-111111111111",
    "client_id": "33333333-3333-4333-8333-333333333333",
    "roles": "Records.Read Records.Write",
    "token_id": "uti",
    "decision_id": "5f2c1f6e-0d5c-4c3e-8f57-0d9b6a7c1e52",
    "principalId": "44444444-4444-4444-8444-444444444444",
    "integrationLatency": 0,
}
"""What the authorizer and API Gateway leave in the request context for a caller with both roles."""


def proxy_event(
    method: str = "GET",
    resource: str = "/v1/records",
    *,
    record_id: str | None = None,
    query: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    authorizer: Mapping[str, object] | None = CALLER,
) -> dict[str, Any]:
    """A valid event, unless the caller bends it. API Gateway writes null for what is empty."""
    path = resource.replace("{id}", record_id or "")
    context: dict[str, Any] = {
        "accountId": "111122223333",
        "apiId": "a1b2c3d4e5",
        "domainName": "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
        "httpMethod": method,
        "path": f"/prod{path}",
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "resourcePath": resource,
        "stage": "prod",
    }
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    sent = {"Host": context["domainName"], **(headers or {})}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {n: v[-1] for n, v in query.items()} if query else None,
        "multiValueQueryStringParameters": dict(query) if query else None,
        "pathParameters": {"id": record_id} if record_id is not None else None,
        "stageVariables": None,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": False,
    }
