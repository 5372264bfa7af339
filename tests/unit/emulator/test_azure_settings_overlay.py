"""What differs between a site's settings in Azure and on a laptop."""

from azure_function_app.declared_settings import SETTINGS
from emulator.azure.settings_overlay import ADDED, REMOVED, Surroundings, overlay_for_local

AROUND = Surroundings(
    entra_authority="http://127.0.0.1:1",
    https_authority_host="https://localhost:2",
    ca_file="/ca.pem",
    identity_endpoint="http://127.0.0.1:1/msi/token",
    identity_header="made-up",
    storage_connection_string="AccountName=a",
)
FROM_BICEP = {
    "AzureWebJobsStorage__credential": "managedidentity",
    "AzureWebJobsStorage__clientId": "c",
    "AzureWebJobsStorage__blobServiceUri": "https://a.blob.core.windows.net/",
    "AWS_API_BASE_URL": "https://api.example/dev",
    "SYNC_SCHEDULE": "0 */5 * * * *",
}


def test_when_settings_are_overlaid_then_only_what_is_listed_differs() -> None:
    """Every other setting is what the Bicep evaluates to."""
    local = overlay_for_local(FROM_BICEP, AROUND)

    changed = {name for name in {*local, *FROM_BICEP} if local.get(name) != FROM_BICEP.get(name)}
    assert {*ADDED, *(REMOVED.keys() & FROM_BICEP.keys())} == changed
    assert "https://api.example/dev" == local["AWS_API_BASE_URL"]


def test_when_a_setting_is_added_or_removed_then_its_reason_is_said() -> None:
    """A reason for each, and none both added and removed."""
    reasons = [added.reason for added in ADDED.values()] + list(REMOVED.values())

    assert all(reasons)
    assert not ADDED.keys() & REMOVED.keys()


def test_when_a_setting_decides_what_the_app_does_then_the_overlay_leaves_it_alone() -> None:
    """Of our own settings only those that are the local Entra ID's are added, and none removed."""
    ours = {setting.name for setting in SETTINGS}

    assert {"ENTRA_AUTHORITY", "AZURE_AUTHORITY_HOST"} == ours & ADDED.keys()
    assert set() == ours & REMOVED.keys()
