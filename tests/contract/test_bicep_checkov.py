"""Checkov over the Bicep modules."""

from pathlib import Path

import pytest

from tests.support.checkov import run_checkov

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
