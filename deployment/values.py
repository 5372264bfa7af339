"""What only an earlier step of a deployment knows; in a plan a placeholder stands for it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Value(StrEnum):
    """One thing that a step finds out and a later one needs."""

    IDENTITY_CLIENT_ID = "identity_client_id"
    """The client ID of the Function App's identity."""
    IDENTITY_PRINCIPAL_ID = "identity_principal_id"
    """The object ID of the Function App's identity, which app roles are granted to."""
    SUBNET_ID = "subnet_id"
    """The Function App's subnet, where there is a virtual network."""
    API_CLIENT_ID = "api_client_id"
    """The client ID of the API's registration."""
    MANAGE_GATEWAY_LOG_ROLE = "manage_gateway_log_role"
    """Whether the stack sets the role with which API Gateway writes logs."""
    GITHUB_PROVIDER = "github_provider"
    """GitHub's identity provider in the AWS account, unless this environment makes it."""
    DEFAULT_URL = "default_url"
    """The API's address as API Gateway chose it, stage included."""
    API_URL = "api_url"
    """The API's address as callers know it."""
    PROXY_URL = "proxy_url"
    """The Function App's address."""


type Values = Mapping[Value, str]

STAND_INS: Final[Values] = {
    Value.IDENTITY_CLIENT_ID: "00000000-0000-0000-0000-000000000002",
    Value.IDENTITY_PRINCIPAL_ID: "00000000-0000-0000-0000-000000000003",
    Value.SUBNET_ID: "/subscriptions/stand-in",
    Value.API_CLIENT_ID: "00000000-0000-0000-0000-000000000004",
    Value.MANAGE_GATEWAY_LOG_ROLE: "false",
    Value.GITHUB_PROVIDER: "",
    Value.DEFAULT_URL: "https://stand-in.execute-api.eu-west-1.amazonaws.com/stage",
    Value.API_URL: "https://stand-in.execute-api.eu-west-1.amazonaws.com/stage",
    Value.PROXY_URL: "https://stand-in.azurewebsites.net",
}
"""Right values that stand for those not known yet while everything else is checked."""


def show(values: Values, value: Value) -> str:
    """Return the value, or its placeholder, such as `<api_client_id>`, where it is not known."""
    return values.get(value, f"<{value}>")
