"""Checkov over the Bicep modules."""

from pathlib import Path

import pytest

from tests.support.checkov import Finding, run_checkov

FOLDER = Path(__file__).parents[2] / "infra" / "azure"
SITE = "Microsoft.Web/sites.site"
STORAGE = "Microsoft.Storage/storageAccounts.storage"
CONFIGS = ("Microsoft.Web/sites/config.appSettings", "Microsoft.Web/sites/config.authentication")
ACCEPTED = {
    ("CKV_AZURE_13", *CONFIGS): "App Service authentication is a choice; else callers have keys",
    ("CKV_AZURE_17", SITE): "callers prove who they are by keys or tokens, not by certificates",
    ("CKV_AZURE_35", STORAGE): "the parameter useVirtualNetwork closes the account",
    ("CKV_AZURE_43", STORAGE): "the name is a parameter, whose value Checkov does not have",
    ("CKV_AZURE_63", *CONFIGS): "these are no site configuration with logs in files",
    ("CKV_AZURE_65", *CONFIGS): "the same",
    ("CKV_AZURE_66", *CONFIGS): "the same",
    (
        "CKV_AZURE_78",
        SITE,
    ): "Flex Consumption refuses ftpsState; publishing by FTP is off by policy",
    ("CKV_AZURE_80", *CONFIGS): "there is no .NET here",
    ("CKV_AZURE_88", *CONFIGS): "nothing is kept in files",
    (
        "CKV_AZURE_206",
        STORAGE,
    ): "the parameter zoneRedundant replicates; a sync makes records again",
    ("CKV_AZURE_212", SITE): "Flex Consumption starts instances by itself",
    ("CKV_AZURE_213", SITE): "Flex Consumption has no health check of the platform",
    ("CKV_AZURE_222", SITE, *CONFIGS): "the proxy is there to be called",
    ("CKV_AZURE_225", "Microsoft.Web/serverfarms.plan"): "the parameter zoneRedundant says so",
}
"""Each check that fails, what it fails on, and why that is as it should be."""

BAD_STORAGE = """
resource records 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'records'
  location: 'westeurope'
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowBlobPublicAccess: true
    supportsHttpsTrafficOnly: false
    minimumTlsVersion: 'TLS1_0'
  }
}
"""


def test_when_a_storage_account_is_open_then_checkov_finds_it(tmp_path: Path) -> None:
    """Backstop: the version that is installed reads Bicep and judges it."""
    (tmp_path / "main.bicep").write_text(BAD_STORAGE, "utf-8")

    report = run_checkov("bicep", tmp_path)

    assert {"Microsoft.Storage/storageAccounts.records"} == report.resources
    assert {"CKV_AZURE_3", "CKV_AZURE_44"} <= report.failed_ids


def test_when_a_file_cannot_be_parsed_then_the_run_fails(tmp_path: Path) -> None:
    """Checkov itself would have looked at nothing and been content."""
    (tmp_path / "main.bicep").write_text(f"{BAD_STORAGE}\nresource more = = {{\n", "utf-8")

    with pytest.raises(AssertionError, match="cannot parse"):
        run_checkov("bicep", tmp_path)


def test_when_there_is_nothing_to_look_at_then_the_run_fails(tmp_path: Path) -> None:
    """A folder under a wrong name passes every check."""
    with pytest.raises(AssertionError, match="looked at nothing"):
        run_checkov("bicep", tmp_path)


def test_when_checkov_looks_at_the_modules_then_it_finds_what_is_accepted_and_no_more() -> None:
    """What is no longer found must leave the list, lest it hide the next one."""
    accepted = {Finding(check_id, resource) for check_id, *on in ACCEPTED for resource in on}

    report = run_checkov("bicep", FOLDER)

    assert accepted == report.failed
    assert 10 <= len(report.resources)
    assert 25 <= len(report.passed)
    assert {SITE, STORAGE, *CONFIGS} <= report.resources
