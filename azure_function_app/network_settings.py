"""What stands between the Function App and the API in a company's network: its settings, read.

A usage plan that wants an API key, certificates that no public authority has issued, a private API
behind another name, a proxy on the way out. Nothing here is needed for an API that is called over
the open internet.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from azure_function_app.identity.credential_kinds import CredentialKind, CredentialSettings
from azure_function_app.proxy_address import ProxyAddress, parse_proxy_address
from azure_function_app.tls import (
    TlsCertificate,
    TlsFileProblem,
    check_certificate,
    read_authorities,
)
from shared.setting_parsers import api_key
from shared.settings_reader import Setting, SettingsReader


def _parse_optional(text: str) -> str | None:
    return text or None


def _parse_optional_proxy(text: str) -> ProxyAddress | None:
    return parse_proxy_address(text) if text else None


_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{4,253}}\Z){_LABEL}(?:\.{_LABEL})+")
_API_ID: Final = re.compile(r"[a-z0-9]{1,64}")


def _parse_optional_host(text: str) -> str | None:
    host = text.lower()
    # A name, because what API Gateway compares it with is one.
    if host and (not _HOST_NAME.fullmatch(host) or host.rpartition(".")[2].isdecimal()):
        raise ValueError("no host name")
    return host or None


def _parse_optional_api_id(text: str) -> str | None:
    if text and not _API_ID.fullmatch(text):
        raise ValueError("no API ID")
    return text or None


def _parse_optional_api_key(text: str) -> str | None:
    return api_key(text) if text else None


AWS_API_KEY: Final = Setting(
    "AWS_API_KEY",
    "The API key that a usage plan of the API counts this app's calls by, sent as x-api-key.",
    "an API key of 20 to 128 characters, best as a Key Vault reference, or nothing",
    _parse_optional_api_key,
    default="",
    is_secret=True,
)
AWS_API_HOST: Final = Setting(
    "AWS_API_HOST",
    "The Host header for a private API that AWS_API_BASE_URL reaches under another name.",
    "a host name such as <api id>.execute-api.<region>.amazonaws.com, or nothing",
    _parse_optional_host,
    default="",
)
AWS_API_ID: Final = Setting(
    "AWS_API_ID",
    "The API's ID for x-apigw-api-id, which can stand in for AWS_API_HOST.",
    "API Gateway's own ID of the API, in small letters and digits, or nothing",
    _parse_optional_api_id,
    default="",
)
API_HTTPS_PROXY: Final = Setting(
    "API_HTTPS_PROXY",
    "The HTTP proxy through which the API is called (CONNECT); none is taken from HTTPS_PROXY.",
    "http://[user:password@]host:port, or nothing",
    _parse_optional_proxy,
    default="",
    is_secret=True,
)
TOKEN_HTTPS_PROXY: Final = Setting(
    "TOKEN_HTTPS_PROXY",
    "The HTTP proxy through which Entra ID is asked for tokens; a managed identity never uses one.",
    "http://[user:password@]host:port, or nothing",
    _parse_optional_proxy,
    default="",
    is_secret=True,
)
EXTRA_CA_FILE: Final = Setting(
    "EXTRA_CA_FILE",
    "Authorities to trust beside the public ones, for the API and for Entra ID.",
    "the path of a PEM file that holds certificates only, or nothing",
    _parse_optional,
    default="",
)
API_CLIENT_CERTIFICATE_PATH: Final = Setting(
    "API_CLIENT_CERTIFICATE_PATH",
    "The app's certificate for an API that asks for one (mutual TLS), with those of its issuers.",
    "the path of a PEM file, or nothing",
    _parse_optional,
    default="",
)
API_CLIENT_CERTIFICATE_KEY_PATH: Final = Setting(
    "API_CLIENT_CERTIFICATE_KEY_PATH",
    "The private key of that certificate, where it is not in the same file.",
    "the path of a PEM file, or nothing",
    _parse_optional,
    default="",
)
API_CLIENT_CERTIFICATE_PASSWORD: Final = Setting(
    "API_CLIENT_CERTIFICATE_PASSWORD",
    "What that private key is encrypted with, where it is.",
    "the password, or nothing",
    _parse_optional,
    default="",
    is_secret=True,
)

NETWORK_SETTINGS: Final[tuple[Setting[object], ...]] = (
    AWS_API_KEY,
    AWS_API_HOST,
    AWS_API_ID,
    API_HTTPS_PROXY,
    TOKEN_HTTPS_PROXY,
    EXTRA_CA_FILE,
    API_CLIENT_CERTIFICATE_PATH,
    API_CLIENT_CERTIFICATE_KEY_PATH,
    API_CLIENT_CERTIFICATE_PASSWORD,
)
"""The settings of this module, for the list of them all."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How the API is reached where more is needed than its URL."""

    api_key: str | None = field(repr=False)
    """What `x-api-key` says, if the API wants one."""
    api_host: str | None
    """What the Host header says, if not the host of the URL."""
    api_id: str | None
    """What `x-apigw-api-id` says, if anything."""
    api_proxy: ProxyAddress | None
    token_proxy: ProxyAddress | None
    """For Entra ID only: a managed identity's endpoint is on this machine."""
    authorities_path: str | None
    """A file of authorities that are trusted beside the public ones."""
    api_certificate: TlsCertificate | None
    """What we show to the API if it asks who we are."""


def _read_api_name(reader: SettingsReader) -> tuple[str | None, str | None]:
    """Return the Host header and the API ID, of which at most one is given."""
    host, api_id = reader.read(AWS_API_HOST), reader.read(AWS_API_ID)
    if reader.is_set(AWS_API_HOST) and reader.is_set(AWS_API_ID):
        reader.reject(
            AWS_API_ID,
            f"is set beside {AWS_API_HOST.name}, and the two could name different APIs; keep one",
        )
    return host, api_id


def _read_token_proxy(
    reader: SettingsReader, credential: CredentialSettings | None
) -> ProxyAddress | None:
    """Return the proxy on the way to Entra ID, which only some credentials ask themselves."""
    if credential is not None and not credential.asks_entra and reader.is_set(TOKEN_HTTPS_PROXY):
        reason = (
            "its endpoint is on this machine, and the secret that it is sent is for nobody else"
            if credential.kind is CredentialKind.MANAGED_IDENTITY
            else "it takes its proxy from elsewhere"
        )
        reader.reject(
            TOKEN_HTTPS_PROXY, f"is set, but CREDENTIAL={credential.kind} uses none: {reason}"
        )
        return None
    return reader.read(TOKEN_HTTPS_PROXY)


def _read_authorities_path(reader: SettingsReader) -> str | None:
    path = reader.read(EXTRA_CA_FILE)
    if path is not None:
        try:
            read_authorities(path)
        except TlsFileProblem as problem:
            reader.reject(EXTRA_CA_FILE, f"{problem}; expected {EXTRA_CA_FILE.expects}")
    return path


def _read_api_certificate(reader: SettingsReader) -> TlsCertificate | None:
    path = reader.read(API_CLIENT_CERTIFICATE_PATH)
    key_path = reader.read(API_CLIENT_CERTIFICATE_KEY_PATH)
    password = reader.read(API_CLIENT_CERTIFICATE_PASSWORD)
    if path is None:
        for setting in (API_CLIENT_CERTIFICATE_KEY_PATH, API_CLIENT_CERTIFICATE_PASSWORD):
            if reader.is_set(setting):
                reader.reject(setting, f"is set without {API_CLIENT_CERTIFICATE_PATH.name}")
        return None
    certificate = TlsCertificate(path, key_path, password)
    try:
        check_certificate(certificate)
    except TlsFileProblem as problem:
        reader.reject(API_CLIENT_CERTIFICATE_PATH, str(problem))
    return certificate


def read_network_settings(
    reader: SettingsReader, credential: CredentialSettings | None
) -> NetworkSettings:
    """Return the settings; what is wrong with them is noted by the reader.

    Args:
        reader: where they are read from.
        credential: how tokens are obtained, which says whether a proxy can be on the way; None if
            that is not known.

    """
    api_host, api_id = _read_api_name(reader)
    return NetworkSettings(
        api_key=reader.read(AWS_API_KEY),
        api_host=api_host,
        api_id=api_id,
        api_proxy=reader.read(API_HTTPS_PROXY),
        token_proxy=_read_token_proxy(reader, credential),
        authorities_path=_read_authorities_path(reader),
        api_certificate=_read_api_certificate(reader),
    )
