"""An authorizer that does what the token's middle part says, and writes down each call."""

import os
import sys
from typing import Any

_INVOKE = "execute-api:Invoke"


def _statement(effect: str, resource: str) -> dict[str, object]:
    return {"Effect": effect, "Action": _INVOKE, "Resource": resource}


def _policy(*statements: dict[str, object], **context: object) -> dict[str, object]:
    return {
        "principalId": "probe",
        "policyDocument": {"Version": "2012-10-17", "Statement": list(statements)},
        "context": context,
    }


def handler(event: dict[str, Any], _context: object) -> object:
    """Answer as `Bearer <anything>.<behavior>.<anything>` asks."""
    sys.stdout.write(f"authorizer called with {event['authorizationToken']}\n")
    sys.stdout.flush()
    behavior = event["authorizationToken"].split(".")[1]
    this_method = event["methodArn"]
    stage = "/".join(this_method.split("/")[:2])
    everything = _statement("Allow", f"{stage}/*")
    policies = {
        "allow": _policy(everything, number=7, flag=True, text="a b", token=behavior),
        "allow_this": _policy(_statement("Allow", this_method)),
        "allow_reading": _policy(_statement("Allow", f"{stage}/GET/*")),
        "allow_elsewhere": _policy(_statement("Allow", f"{stage}/GET/v2/*")),
        "allow_other_stage": _policy(_statement("Allow", f"{stage}x/*")),
        "deny": _policy(_statement("Deny", f"{stage}/*")),
        "deny_one_of_all": _policy(
            everything, _statement("Deny", f"{stage}/GET/v1/records/secret")
        ),
        # What follows, MiniStack lets pass and AWS does not.
        "allow_other_action": _policy(everything | {"Action": "execute-api:ManageConnections"}),
        "allow_on_condition": _policy(
            everything | {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}
        ),
        "nested_context": _policy(everything, nested={"a": 1}),
        "say_method": _policy(everything, method_arn=this_method, kind=event["type"]),
    }
    match behavior:
        case "raise_unauthorized":
            raise Exception("Unauthorized")  # noqa: TRY002 - exactly what API Gateway looks for
        case "raise_lower_case":
            raise Exception("unauthorized")  # noqa: TRY002 - as above
        case "raise_unauthorized_and_more":
            raise Exception("Unauthorized: expired")  # noqa: TRY002 - as above
        case "raise_other":
            raise RuntimeError("no key set")
        case "exit":
            os._exit(1)
        case "return_null":
            return None
        case "return_text":
            return "Unauthorized"
        case "return_status":
            return {"statusCode": 401}
        case "return_no_policy":
            return {"principalId": "probe"}
        case _:
            return policies[behavior]
