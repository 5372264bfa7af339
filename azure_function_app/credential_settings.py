"""Reads how the app proves to Entra ID who it is, and refuses secrets that nobody would use."""

from typing import assert_never

from azure_function_app.declared_settings import (
    AZURE_AUTHORITY_HOST,
    AZURE_CLIENT_CERTIFICATE_PASSWORD,
    AZURE_CLIENT_CERTIFICATE_PATH,
    AZURE_CLIENT_ID,
    AZURE_CLIENT_SECRET,
    AZURE_FEDERATED_TOKEN_FILE,
    CREDENTIAL,
    MANAGED_IDENTITY_CLIENT_ID,
)
from azure_function_app.identity.credential_kinds import (
    AzureCli,
    ClientCertificate,
    ClientSecret,
    CredentialKind,
    CredentialSettings,
    ManagedIdentity,
    ManagedIdentityFederation,
    WorkloadIdentity,
)
from shared.contract import ENTRA_AUTHORITY, ApiIdentity
from shared.settings_reader import SettingsReader


def read_credential(reader: SettingsReader) -> CredentialSettings:
    """Return the credential that is chosen; problems are noted with the reader."""
    kind = reader.read(CREDENTIAL)
    because = f"CREDENTIAL={kind}"
    if not reader.is_rejected(CREDENTIAL):
        _refuse_unused_secrets(reader, kind)
    match kind:
        case CredentialKind.MANAGED_IDENTITY:
            return ManagedIdentity(reader.read(AZURE_CLIENT_ID))
        case CredentialKind.CLIENT_SECRET:
            return ClientSecret(
                reader.require(AZURE_CLIENT_ID, because),
                reader.require(AZURE_CLIENT_SECRET, because),
            )
        case CredentialKind.CLIENT_CERTIFICATE:
            return ClientCertificate(
                reader.require(AZURE_CLIENT_ID, because),
                reader.require(AZURE_CLIENT_CERTIFICATE_PATH, because),
                reader.read(AZURE_CLIENT_CERTIFICATE_PASSWORD),
            )
        case CredentialKind.WORKLOAD_IDENTITY:
            return WorkloadIdentity(
                reader.require(AZURE_CLIENT_ID, because),
                reader.require(AZURE_FEDERATED_TOKEN_FILE, because),
            )
        case CredentialKind.MANAGED_IDENTITY_FEDERATION:
            return ManagedIdentityFederation(
                reader.require(AZURE_CLIENT_ID, because),
                reader.require(MANAGED_IDENTITY_CLIENT_ID, because),
            )
        case CredentialKind.AZURE_CLI:
            return AzureCli()
        case _:
            assert_never(kind)


def _refuse_unused_secrets(reader: SettingsReader, kind: CredentialKind) -> None:
    """Reject each secret that the credential does not use, because nobody would rotate it."""
    owners = {
        AZURE_CLIENT_SECRET: CredentialKind.CLIENT_SECRET,
        AZURE_CLIENT_CERTIFICATE_PASSWORD: CredentialKind.CLIENT_CERTIFICATE,
    }
    for setting, owner in owners.items():
        if kind is not owner and reader.is_set(setting):
            reader.reject(
                setting,
                f"is set, but CREDENTIAL={kind} does not use it;"
                f" remove it, or set CREDENTIAL to {owner}",
            )


def read_token_authority(
    reader: SettingsReader, credential: CredentialSettings, api: ApiIdentity
) -> str:
    """Return the origin that a token is asked for: the cloud's, or the local emulator's."""
    local = reader.read(AZURE_AUTHORITY_HOST)
    is_emulated = reader.is_set(ENTRA_AUTHORITY)
    if reader.is_set(AZURE_AUTHORITY_HOST) and not is_emulated:
        reader.reject(
            AZURE_AUTHORITY_HOST,
            "is set without ENTRA_AUTHORITY; it is only for the local emulator:"
            " remove it, and name the cloud in ENTRA_CLOUD",
        )
    if is_emulated and credential.asks_entra and not reader.is_set(AZURE_AUTHORITY_HOST):
        reader.reject(
            AZURE_AUTHORITY_HOST,
            "is missing: with ENTRA_AUTHORITY this credential asks the emulator, and the Azure SDK"
            f" does so only over https; expected {AZURE_AUTHORITY_HOST.expects}",
        )
    if local is not None:
        return local
    return api.cloud.authority
