"""A backend that answers with what reached it."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, object]:
    """Echo the request and what the authorizer said of it."""
    seen = {
        "method": event["httpMethod"],
        "path": event["path"],
        "authorizer": event["requestContext"].get("authorizer"),
    }
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "WWW-Authenticate": "Probe"},
        "body": json.dumps(seen),
    }
