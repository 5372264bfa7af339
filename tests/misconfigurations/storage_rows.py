"""What can be wrong with where the sync keeps records, checkpoints and messages."""

from typing import Final

import trustme

from emulator.loopback import LOOPBACK, find_free_port
from shared.clock import SystemClock
from tests.misconfigurations.api_rows import certify
from tests.misconfigurations.devices import StorageAccount, serving
from tests.misconfigurations.installation import Installation
from tests.misconfigurations.misconfiguration import row


async def _folder_is_a_file(on: Installation) -> None:
    file = on.folder / "notes"
    file.write_text("Not a folder.\n")
    on.app_settings["SQLITE_PATH"] = str(file / "records.sqlite3")


async def _file_of_something_else(on: Installation) -> None:
    file = on.folder / "notes"
    file.write_text("Not a database.\n" * 300)
    on.app_settings["SQLITE_PATH"] = str(file)


async def _sqlite_in_azure(on: Installation) -> None:
    azurite = await on.start_azurite()
    on.facts["table_endpoint"] = azurite.table_url
    on.app_settings["WEBSITE_SITE_NAME"] = "bridge"
    on.app_settings["RECORD_STORE"] = "sqlite"


async def _endpoint_of_the_blobs(on: Installation) -> None:
    azurite = await on.start_azurite()
    on.facts["table_endpoint"] = azurite.table_url
    on.app_settings["RECORD_STORE"] = "table"
    on.app_settings["TABLE_ENDPOINT"] = azurite.blob_url


async def _no_account_there(on: Installation) -> None:
    azurite = await on.start_azurite()
    on.facts["table_endpoint"] = azurite.table_url
    account = azurite.table_url.rsplit("/", 1)[-1]
    on.app_settings["RECORD_STORE"] = "table"
    on.app_settings["TABLE_ENDPOINT"] = f"http://{LOOPBACK}:{find_free_port()}/{account}"


async def _without_data_role(on: Installation) -> None:
    azurite = await on.start_azurite()
    on.storage = StorageAccount(azurite.table_url, SystemClock())
    authority = trustme.CA()
    port = await on.exits.enter_async_context(
        serving(on.storage.answer, tls=certify(authority, LOOPBACK))
    )
    trusted = on.folder / "trusted.pem"
    trusted.write_bytes(on.stack.entra.ca_file.read_bytes() + authority.cert_pem.bytes())
    account = azurite.table_url.rsplit("/", 1)[-1]
    on.app_settings |= {
        "RECORD_STORE": "table",
        "TABLE_ENDPOINT": f"https://{LOOPBACK}:{port}/{account}",
        "REQUESTS_CA_BUNDLE": str(trusted),
    }


async def _postgres_is_off(on: Installation) -> None:
    server = await on.start_postgres()
    on.facts["postgres_host"] = server.host
    on.facts["postgres_database"] = server.database
    on.app_settings |= {
        "RECORD_STORE": "postgres",
        # Also this machine's, but nobody listens there.
        "POSTGRES_HOST": "127.0.0.2",
        "POSTGRES_PORT": str(server.port),
        "POSTGRES_DATABASE": server.database,
        "POSTGRES_USER": server.user,
    }


async def _postgres_without_database(on: Installation) -> None:
    await _postgres_is_off(on)
    on.app_settings["POSTGRES_HOST"] = on.facts["postgres_host"]
    on.app_settings["POSTGRES_DATABASE"] = "bridge"


async def _postgres_without_role(on: Installation) -> None:
    await _postgres_is_off(on)
    on.facts["postgres_user"] = on.app_settings["POSTGRES_USER"]
    on.app_settings["POSTGRES_HOST"] = on.facts["postgres_host"]
    on.app_settings["POSTGRES_USER"] = "function-app"


async def _queue_of_another_key(on: Installation) -> None:
    azurite = await on.start_azurite()
    good = azurite.connection_string
    on.facts["storage_connection"] = good
    key = good.partition("AccountKey=")[2].partition(";")[0]
    rotated = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODk="
    on.app_settings |= {
        "RECORD_STORE": "table",
        "TABLE_ENDPOINT": azurite.table_url,
        "SYNC_FAN_OUT": "true",
        "AzureWebJobsStorage": good.replace(key, rotated),
    }


STORAGE_ROWS: Final = (
    row("folder-is-a-file", "SQLITE_PATH is below a file, where there can be no folder.",
        _folder_is_a_file, "store_not_writable", breaks="store"),
    row("file-of-something-else", "SQLITE_PATH names a file that is no database.",
        _file_of_something_else, "store_damaged", asked="route", breaks="store"),
    row("sqlite-in-azure", "RECORD_STORE is sqlite in Azure, where its file would be lost.",
        _sqlite_in_azure, "settings_invalid", breaks="store", steps=2),
    row("endpoint-of-the-blobs", "TABLE_ENDPOINT is that of the account's blob service.",
        _endpoint_of_the_blobs, "store_endpoint_wrong", breaks="store"),
    row("no-account-there", "Nobody listens at TABLE_ENDPOINT.",
        _no_account_there, "store_unreachable", breaks="store"),
    row("without-data-role", "The app's identity may not write the account's tables.",
        _without_data_role, "store_rights_missing", asked="route", breaks="store"),
    row("postgres-is-off", "POSTGRES_HOST is a machine where no PostgreSQL listens.",
        _postgres_is_off, "store_unreachable", breaks="store"),
    row("postgres-without-database", "PostgreSQL has no database POSTGRES_DATABASE.",
        _postgres_without_database, "store_database_unknown", breaks="store"),
    row("postgres-without-role", "PostgreSQL has no role POSTGRES_USER.",
        _postgres_without_role, "store_role_unknown", breaks="store"),
    row("queue-of-another-key", "AzureWebJobsStorage has a replaced key, and the sync fans out.",
        _queue_of_another_key, "queue_unavailable", breaks="queue"),
)  # fmt: skip
