"""The ARN of the method that a call asks for, taken apart and put together without loss.

Format: `arn:{partition}:execute-api:{region}:{account}:{api}/{stage}/{method}/{path}`, and for
WebSocket APIs `.../{stage}/{route key}`.
https://docs.aws.amazon.com/apigateway/latest/developerguide/arn-format-reference.html
"""

import re
from typing import Final, NamedTuple

MAX_CHARACTERS: Final = 8_192

# No part before the tail may hold a wildcard, a colon or a slash: all of them go into policies.
_METHOD_ARN: Final = re.compile(
    r"(?P<stage_arn>"
    r"arn:aws[a-z-]{0,32}"
    r":execute-api"
    r":[a-z0-9-]{1,32}"
    r":\d{12}"
    r":[A-Za-z0-9-]{1,64}"
    r"/(?:\$default|[A-Za-z0-9_-]{1,128})"
    r")/(?P<tail>.*)",
    re.DOTALL | re.ASCII,
)


class MethodArn(NamedTuple):
    """A method ARN as the two halves that matter: what a policy may repeat, and what it may not."""

    stage_arn: str
    """Partition, region, account, API and stage: API Gateway's own words."""
    tail: str
    """Method and path as requested, or a route key: the caller's words; never put in a policy."""

    def __str__(self) -> str:
        """Return the ARN as it came."""
        return f"{self.stage_arn}/{self.tail}"

    @property
    def is_websocket_connect(self) -> bool:
        """Return whether a WebSocket API asks, before it accepts a connection."""
        return self.tail == "$connect"


def parse_method_arn(text: str) -> MethodArn:
    """Return the ARN taken apart. Colons, slashes and any other character may occur in the path.

    Raises:
        ValueError: it is no ARN of an API Gateway method.

    """
    match = _METHOD_ARN.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if match is None:
        raise ValueError("no method ARN")
    return MethodArn(match["stage_arn"], match["tail"])
