"""Where each Entra ID cloud lives, and the exact issuer and key set URLs of a tenant in it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, assert_never


class TokenVersion(StrEnum):
    """The `ver` of an access token. The API's registration decides it, never the caller."""

    V1 = "1.0"
    V2 = "2.0"


class Cloud(NamedTuple):
    """One Entra ID cloud. Tokens never cross from one to another."""

    name: str
    authority: str
    """Scheme and host of the login service, without a trailing slash."""
    v1_issuer_authority: str
    """Scheme and host that v1.0 tokens name as their issuer, without a trailing slash."""

    def issuer(self, tenant_id: str, version: TokenVersion) -> str:
        """Return the exact `iss` of the tenant's tokens. v1.0 ends in a slash, v2.0 does not."""
        match version:
            case TokenVersion.V1:
                return f"{self.v1_issuer_authority}/{tenant_id}/"
            case TokenVersion.V2:
                return f"{self.authority}/{tenant_id}/v2.0"
            case _:
                assert_never(version)

    def key_set_url(self, tenant_id: str) -> str:
        """Return the URL of the tenant's v2.0 key set.

        Its keys sign both token versions, and unlike the v1.0 document it says which issuer each
        key belongs to, so one set serves both.
        """
        return f"{self.authority}/{tenant_id}/discovery/v2.0/keys"


CLOUDS: Final[Mapping[str, Cloud]] = {
    cloud.name: cloud
    for cloud in (
        Cloud("public", "https://login.microsoftonline.com", "https://sts.windows.net"),
        Cloud("usgov", "https://login.microsoftonline.us", "https://sts.windows.net"),
        Cloud(
            "china",
            "https://login.partner.microsoftonline.cn",
            "https://sts.chinacloudapi.cn",
        ),
    )
}
"""The clouds that `ENTRA_CLOUD` can name."""


def parse_local_authority(url: str) -> Cloud:
    """Return the local emulator as a cloud of its own, so that its tokens are good nowhere else.

    Plain http is accepted only on loopback addresses; a host name is not, because what it resolves
    to is not ours to decide.

    Raises:
        ValueError: the URL is anything but `http://<loopback address>:<port>`.

    """
    # Imported only on a laptop, so that no cold start in a cloud pays for these.
    import ipaddress  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415

    parts = urlsplit(url)
    try:
        is_loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
        has_port = parts.port is not None
    except ValueError:
        is_loopback = has_port = False
    extras = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme != "http" or not is_loopback or not has_port or extras:
        raise ValueError("expected http://<loopback address>:<port> and nothing after it")
    return Cloud("local", url, url)
