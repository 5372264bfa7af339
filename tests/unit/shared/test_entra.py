"""Clouds, and the local one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.entra import CLOUDS, TokenVersion, parse_local_authority

TENANT_ID = "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("cloud", "v1_issuer", "v2_issuer", "key_set_url"),
    [
        (
            "public",
            "https://sts.windows.net/{}/",
            "https://login.microsoftonline.com/{}/v2.0",
            "https://login.microsoftonline.com/{}/discovery/v2.0/keys",
        ),
        (
            "usgov",
            "https://sts.windows.net/{}/",
            "https://login.microsoftonline.us/{}/v2.0",
            "https://login.microsoftonline.us/{}/discovery/v2.0/keys",
        ),
        (
            "china",
            "https://sts.chinacloudapi.cn/{}/",
            "https://login.partner.microsoftonline.cn/{}/v2.0",
            "https://login.partner.microsoftonline.cn/{}/discovery/v2.0/keys",
        ),
    ],
)
def test_when_a_cloud_is_named_then_its_addresses_are_exact(
    cloud: str, v1_issuer: str, v2_issuer: str, key_set_url: str
) -> None:
    """v1.0 issuers end in a slash, v2.0 issuers do not; both versions share a key set."""
    named = CLOUDS[cloud]

    assert cloud == named.name
    assert v1_issuer.format(TENANT_ID) == named.issuer(TENANT_ID, TokenVersion.V1)
    assert v2_issuer.format(TENANT_ID) == named.issuer(TENANT_ID, TokenVersion.V2)
    assert key_set_url.format(TENANT_ID) == named.key_set_url(TENANT_ID)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://127.9.9.9:1", "http://[::1]:8080"]
)
def test_when_an_authority_is_on_loopback_then_it_is_a_cloud_of_its_own(url: str) -> None:
    """Its tokens name it as their issuer, and so are good nowhere else."""
    local = parse_local_authority(url)

    assert "local" == local.name
    assert f"{url}/{TENANT_ID}/v2.0" == local.issuer(TENANT_ID, TokenVersion.V2)
    assert f"{url}/{TENANT_ID}/" == local.issuer(TENANT_ID, TokenVersion.V1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "http://127.0.0.1",
        "http://localhost:8080",
        "http://10.0.0.1:8080",
        "http://0.0.0.0:8080",
        "http://169.254.169.254:80",
        "http://login.microsoftonline.com:80",
        "http://127.0.0.1.example.com:8080",
        "https://127.0.0.1:8080",
        "ftp://127.0.0.1:8080",
        "http://user@127.0.0.1:8080",
        "http://:secret@127.0.0.1:8080",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8080/tenant",
        "http://127.0.0.1:8080?x=1",
        "http://127.0.0.1:8080#x",
        "http://127.0.0.1:notaport",
        "http://127.0.0.1:99999",
        "http://[::1",
    ],
)
def test_when_an_authority_is_anywhere_else_then_it_is_refused(url: str) -> None:
    """No names, no other machines, no https, nothing behind the port."""
    with pytest.raises(ValueError):  # noqa: PT011 - the standard library's own in one case
        parse_local_authority(url)


@given(st.text())
def test_when_an_authority_is_arbitrary_then_it_is_refused_or_loopback(url: str) -> None:
    """Nothing else than ValueError comes out, and nothing that is not plain http."""
    try:
        cloud = parse_local_authority(url)
    except ValueError:
        return

    assert cloud.authority.startswith("http://")
