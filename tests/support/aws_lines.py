"""The AWS command line's judgment on `aws` lines, from the data that it is made of.

The AWS CLI builds commands and options out of botocore's own models; so each name on a line is
looked up there. What no model says, the CLI's global options, is listed.
"""

import re
from collections.abc import Sequence
from typing import Any

import botocore.session
from botocore import xform_name

_GLOBAL = {"--region", "--profile", "--query", "--output", "--no-cli-pager", "--endpoint-url"}
_SWITCHES = {"--no-cli-pager"}
_PARTS = {"sso": {"login", "logout"}, "configure": {"sso", "list"}}
"""Commands that are no service's: only their names are looked at."""


def complaint_of_aws(line: Sequence[str]) -> str | None:
    """Return what is wrong with an `aws` line, and None if its names are right and complete.

    Not looked at: values, and the order of options.
    """
    assert line[0] == "aws", "a line begins with aws"
    if len(line) == 1:
        return "no service"
    service, *rest = line[1:]
    if service in _PARTS:
        known = not rest or rest[0].startswith("-") or rest[0] in _PARTS[service]
        return None if known else f"aws {service} has no {rest[0]}"
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return f"there is no service {service}"
    model = session.get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if rest[:1] == ["wait"]:
        waiters = session.get_waiter_model(service)
        waits = {xform_name(name, "-"): waiters.get_waiter(name) for name in waiters.waiter_names}
        if len(rest) == 1 or rest[1] not in waits:
            return f"aws {service} wait has no {rest[1:2]}"
        operation, options = waits[rest[1]].operation, rest[2:]
    else:
        if not rest or rest[0] not in operations:
            return f"aws {service} has no {rest[:1]}"
        operation, options = operations[rest[0]], rest[1:]
    return _complaint_of_options(model.operation_model(operation).input_shape, options)


def _complaint_of_options(shape: Any, options: Sequence[str]) -> str | None:
    members = {} if shape is None else shape.members
    known = {f"--{xform_name(name, '-')}": name for name in members}
    switches = {
        f"--no-{xform_name(name, '-')}"
        for name, member in members.items()
        if member.type_name == "boolean"
    }
    named = [option for option in options if re.match(r"--[a-z]", option)]
    for option in named:
        if option not in known and option not in _GLOBAL and option not in switches:
            return f"there is no {option}"
    required = [] if shape is None else shape.required_members
    missing = [
        name
        for name in required
        if f"--{xform_name(name, '-')}" not in named
        and f"--no-{xform_name(name, '-')}" not in named
    ]
    if missing:
        return f"--{xform_name(missing[0], '-')} is missing"
    first = next((option for option in options if not option.startswith("--")), None)
    if options and options[0] == first:
        return f"{first} is no option"
    return None
