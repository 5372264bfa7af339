"""What `bridge smoke` asks of the local clouds: real answers, refusals, and none at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_cli.deploying.clouds_file import CloudsFile
from bridge_cli.deploying.rehearsed_pair import DeveloperTokens, SiteKeys, read_rehearsed_pair
from deployment.errors import DeploymentError
from deployment.smoke.outcome import CheckBlockedError
from emulator.entra.directory import Directory
from emulator.entra.local_entra import LocalEntra
from emulator.loopback import find_free_port
from tests.support.graph import APP_ID_URI, TENANT_ID
from tests.support.local_entra import running_local_entra

SCOPE = f"{APP_ID_URI}/.default"


@pytest.fixture
def entra(tmp_path: Path) -> Iterator[LocalEntra]:
    """An empty tenant."""
    with running_local_entra(tmp_path, Directory.empty(TENANT_ID)) as running:
        yield running


def nobody() -> str:
    """An address at which nobody answers."""
    return f"http://127.0.0.1:{find_free_port()}"


async def test_when_the_api_is_not_registered_then_the_check_has_entra_ids_reason(
    entra: LocalEntra,
) -> None:
    """As the Azure CLI would show it."""
    tokens = DeveloperTokens(
        entra.developer_token_url, entra.identity_header, entra.add_user("Dana")
    )

    with pytest.raises(CheckBlockedError) as blocked:
        await tokens.token(SCOPE)

    assert "AADSTS500011" in blocked.value.came


async def test_when_the_secret_is_not_of_these_clouds_then_there_is_no_token(
    entra: LocalEntra,
) -> None:
    """They were started anew since."""
    tokens = DeveloperTokens(entra.developer_token_url, "of-yesterday", entra.add_user("Dana"))

    with pytest.raises(CheckBlockedError) as blocked:
        await tokens.token(SCOPE)

    assert "X-IDENTITY-HEADER" in blocked.value.came


async def test_when_entra_id_is_gone_then_the_check_is_blocked() -> None:
    """The clouds were ended."""
    with pytest.raises(CheckBlockedError) as blocked:
        await DeveloperTokens(f"{nobody()}/token", "secret", "user").token(SCOPE)

    assert "ConnectError" in blocked.value.came


async def test_when_the_local_azure_is_gone_then_there_are_no_keys() -> None:
    """The clouds were ended while the checks were made."""
    with pytest.raises(CheckBlockedError) as blocked:
        await SiteKeys(nobody(), "func").keys()

    assert "ConnectError" in blocked.value.came


def test_when_the_clouds_were_killed_then_their_file_leads_nowhere(tmp_path: Path) -> None:
    """It is still there, because nobody could take it away."""
    clouds = CloudsFile({}, {"endpoint_url": nobody()}, {"url": nobody()}, tmp_path)

    with pytest.raises(DeploymentError, match="still running") as gone:
        read_rehearsed_pair(clouds)

    assert "local_clouds_gone" == gone.value.code
