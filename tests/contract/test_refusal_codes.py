"""The Function App tells who refused by codes that others write: they are spelled alike."""

import json
import re

import pytest

from aws_backend.errors import RoleMissing
from azure_function_app.aws_api.token_refusal import (
    AUTHORIZER_CODE,
    BACKEND_CODE,
    FILTERED_CODE,
    NO_API_KEY_CODE,
    POLICY_CODE,
)
from emulator.aws.template import load_template
from tests.support.local_aws import TEMPLATE


@pytest.mark.parametrize(
    ("response_type", "code"),
    [
        ("UNAUTHORIZED", AUTHORIZER_CODE),
        ("ACCESS_DENIED", POLICY_CODE),
        ("INVALID_API_KEY", NO_API_KEY_CODE),
        ("WAF_FILTERED", FILTERED_CODE),
    ],
)
def test_when_the_gateway_refuses_then_its_problem_has_the_code(
    response_type: str, code: str
) -> None:
    """The template's gateway responses, as they are deployed."""
    (api,) = (
        resource
        for resource in load_template(TEMPLATE)["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Api"
    )
    response = api["Properties"]["GatewayResponses"][response_type]
    text = response["ResponseTemplates"]["application/json"]
    document = json.loads(re.sub(r"\$[\w.]+", "", text))

    assert code == document["code"]


def test_when_the_backend_refuses_then_its_problem_has_the_code() -> None:
    """The backend's class of that refusal."""
    assert RoleMissing.code == BACKEND_CODE
