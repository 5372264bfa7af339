"""The local authorizer's own settings, written down for `bridge explain --local`."""

import json
from pathlib import Path
from typing import Final

from aws_authorizer.settings import SETTINGS
from emulator.aws.deployment import LocalAws
from emulator.stack import LocalStack

AUTHORIZER_SETTINGS: Final = "authorizer.settings.json"
_FUNCTION: Final = "AuthorizerFunction"


def write_authorizer_settings(stack: LocalStack) -> Path:
    """Write the settings that the deployed authorizer has, but for those that are secrets."""
    aws = LocalAws(stack.aws_endpoint_url)
    client = aws.session().client("lambda", endpoint_url=aws.endpoint_url, config=aws.config)
    name = stack.deployment.functions[_FUNCTION]
    deployed = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    told = [setting.name for setting in SETTINGS if not setting.is_secret]
    values = {name: deployed[name] for name in told if deployed.get(name)}
    file = stack.folder / AUTHORIZER_SETTINGS
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return file
