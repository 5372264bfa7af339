"""The whole authorizer as an attacker meets it: a header goes in, an outcome comes out."""

from aws_authorizer.bootstrap import build_authorizer
from aws_authorizer.errors import Unauthorized, Undecided
from aws_authorizer.handler import authorize
from aws_authorizer.key_set_fetch import FetchedKeySet
from aws_authorizer.settings import load_settings
from tests.support.events import rest_token_event
from tests.support.fake_clock import FakeClock
from tests.support.keys import TENANT_ID, key_set
from tests.support.tokens import API_CLIENT_ID, APP_ID_URI, CLIENT_ID, NOW

PUBLISHED = key_set()


def outcome(token: str, published: bytes = PUBLISHED, **environment: str) -> str:
    """`allowed`, `denied`, `undecided`, or `unauthorized`, for a bearer token."""
    return outcome_of_header(f"Bearer {token}", published, **environment)


def outcome_of_header(authorization: str, published: bytes = PUBLISHED, **environment: str) -> str:
    """The same for a whole Authorization header."""
    settings = load_settings(
        {
            "ENTRA_TENANT_ID": TENANT_ID,
            "API_CLIENT_ID": API_CLIENT_ID,
            "API_APP_ID_URI": APP_ID_URI,
            "ALLOWED_CLIENT_IDS": CLIENT_ID,
        }
        | environment
    )
    authorizer = build_authorizer(
        settings,
        clock=FakeClock(now=NOW),
        write=lambda _line: None,
        build_fetch=lambda _url, _seconds: lambda: FetchedKeySet(published, None),
    )
    try:
        answer = authorize(authorizer, rest_token_event(authorization), "")
    except Unauthorized:
        return "unauthorized"
    except Undecided:
        return "undecided"
    document = answer["policyDocument"]
    assert isinstance(document, dict)
    return "allowed" if document["Statement"][0]["Effect"] == "Allow" else "denied"
