"""A backend that answers with what its environment says of the API's address."""

import json
import os
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, object]:
    """Tell the address, and what the authorizer said."""
    seen = {
        "public_url": os.environ["PUBLIC_URL"],  # noqa: TID251 - a probe has no settings
        "authorizer": event["requestContext"].get("authorizer"),
    }
    return {"statusCode": 200, "body": json.dumps(seen)}
