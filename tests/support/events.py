"""The events that API Gateway sends to an authorizer, one builder for each kind."""

from collections.abc import Callable
from typing import Final

STAGE_ARN = "arn:aws:execute-api:eu-west-1:111122223333:abc123/prod"
METHOD_ARN = f"{STAGE_ARN}/GET/v1/records"


def rest_token_event(authorization: str, method_arn: str = METHOD_ARN) -> dict[str, object]:
    """REST API, TOKEN authorizer."""
    return {"type": "TOKEN", "authorizationToken": authorization, "methodArn": method_arn}


def rest_request_event(authorization: str, method_arn: str = METHOD_ARN) -> dict[str, object]:
    """REST API, REQUEST authorizer."""
    return {
        "type": "REQUEST",
        "methodArn": method_arn,
        "resource": "/v1/records",
        "path": "/v1/records",
        "httpMethod": "GET",
        "headers": {"Accept": "*/*", "Authorization": authorization},
        "multiValueHeaders": {"Accept": ["*/*"], "Authorization": [authorization]},
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": {},
        "stageVariables": {},
        "requestContext": {"stage": "prod", "apiId": "abc123", "httpMethod": "GET"},
    }


def http_v1_event(authorization: str) -> dict[str, object]:
    """HTTP API, payload format 1.0."""
    return rest_request_event(authorization) | {
        "version": "1.0",
        "identitySource": authorization,
        "authorizationToken": authorization,
    }


def http_v2_event(authorization: str, *further_sources: str) -> dict[str, object]:
    """HTTP API, payload format 2.0."""
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": METHOD_ARN,
        "identitySource": [authorization, *further_sources],
        "routeKey": "GET /v1/records",
        "rawPath": "/v1/records",
        "rawQueryString": "",
        "cookies": [],
        "headers": {"accept": "*/*", "authorization": authorization},
        "requestContext": {"apiId": "abc123", "stage": "prod", "routeKey": "GET /v1/records"},
    }


def websocket_connect_event(authorization: str) -> dict[str, object]:
    """WebSocket API, before the connection is accepted."""
    return {
        "type": "REQUEST",
        "methodArn": f"{STAGE_ARN}/$connect",
        "headers": {"Authorization": authorization},
        "multiValueHeaders": {"Authorization": [authorization]},
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "stageVariables": {},
        "requestContext": {"routeKey": "$connect", "eventType": "CONNECT", "stage": "prod"},
    }


EVENT_BUILDERS: Final[dict[str, Callable[[str], dict[str, object]]]] = {
    "rest token": rest_token_event,
    "rest request": rest_request_event,
    "http 1.0": http_v1_event,
    "http 2.0": http_v2_event,
    "websocket": websocket_connect_event,
}
"""A builder for each kind, by what the kind is called."""
