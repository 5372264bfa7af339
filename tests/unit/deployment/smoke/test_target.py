"""Which targets may be tried: a token goes to no plain http but this machine's."""

import pytest

from deployment.smoke.target import ProxyCallers, SmokeTarget, TargetError
from shared.contract import ApiIdentity
from shared.entra import CLOUDS, TokenVersion

IDENTITY = ApiIdentity(CLOUDS["public"], "t", "c", "api://c", frozenset({TokenVersion.V2}))
API = "https://api.example/prod"


@pytest.mark.parametrize("url", [API, f"{API}/", "http://127.0.0.1:4566/x", "http://[::1]:1"])
def test_when_the_url_is_safe_then_it_loses_its_last_slash(url: str) -> None:
    """The checks' own paths begin with one."""
    target = SmokeTarget.checked(api_url=url, identity=IDENTITY, public_url=url)

    assert (url.rstrip("/"), url.rstrip("/")) == (target.api_url, target.public_url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example/prod",
        "http://api.example/prod",
        "http://localhost:4566",
        "ftp://api.example",
        "https://",
        "https://user:pass@api.example",
        "https://api.example/?x=1",
        "https://api.example/#x",
        "https://[api.example",
        "https://api.example:99999",
    ],
)
@pytest.mark.parametrize("side", ["api_url", "function_app_url"])
def test_when_the_url_is_none_or_not_safe_then_it_is_refused(side: str, url: str) -> None:
    """On either side."""
    is_api = side == "api_url"
    api_url, function_app_url = (url, None) if is_api else (API, url or "https://")

    with pytest.raises(TargetError):
        SmokeTarget.checked(api_url=api_url, identity=IDENTITY, function_app_url=function_app_url)


def test_when_a_deployed_host_is_said_to_check_nobody_then_it_is_refused() -> None:
    """Otherwise the check that the proxy is closed could be talked away."""
    with pytest.raises(TargetError, match="this machine"):
        SmokeTarget.checked(
            api_url=API,
            identity=IDENTITY,
            function_app_url="https://func.example",
            proxy_callers=ProxyCallers.UNCHECKED,
        )


def test_when_callers_sign_in_and_nobody_says_to_what_then_it_is_refused() -> None:
    """A token must be asked for something."""
    with pytest.raises(TargetError, match="--proxy-scope"):
        SmokeTarget.checked(api_url=API, identity=IDENTITY, proxy_callers=ProxyCallers.EASY_AUTH)
