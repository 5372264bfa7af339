"""Azurite that asks for a token, over TLS, and the managed identity endpoint that gives one."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import trustme

from emulator.azurite import Azurite, AzuritePrograms, AzuriteTls
from shared.clock import SystemClock
from tests.support.faulty_server import Behavior, answer
from tests.support.keys import base64url

_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class TlsAzurite:
    """The running Azurite, and the file with the authority that vouches for it."""

    azurite: Azurite
    ca_file: Path


def start_tls_azurite(folder: Path) -> TlsAzurite:
    """An Azurite that takes tokens; stop it in the end."""
    authority = trustme.CA()
    identity = authority.issue_cert("127.0.0.1")
    files = {name: folder / name for name in ("ca.pem", "certificate.pem", "key.pem")}
    authority.cert_pem.write_to_path(str(files["ca.pem"]))
    identity.cert_chain_pems[0].write_to_path(str(files["certificate.pem"]))
    identity.private_key_pem.write_to_path(str(files["key.pem"]))
    azurite = Azurite.start(
        AzuritePrograms.under(_CHECKOUT / ".tools"),
        folder / "azurite",
        clock=SystemClock(),
        sleep=time.sleep,
        tls=AzuriteTls(files["certificate.pem"], files["key.pem"]),
    )
    return TlsAzurite(azurite, files["ca.pem"])


def storage_token(audience: str) -> str:
    """A token as Azurite takes it, which checks everything but the signature."""
    now = int(SystemClock().now())
    claims = {
        "aud": audience,
        "iss": "https://sts.windows.net/11111111-2222-4333-8444-555555555555/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + 3600,
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [base64url(json.dumps(part).encode()) for part in parts]
    return ".".join([*encoded, "c2ln"])


def token_answer(token: str) -> Behavior:
    """The managed identity endpoint's answer with that token."""
    members = {
        "access_token": token,
        "expires_on": str(int(SystemClock().now()) + 3600),
        "resource": "https://storage.azure.com",
        "token_type": "Bearer",
    }
    return answer(200, json.dumps(members).encode(), ("Content-Type", "application/json"))
