"""What can be chosen about a local stack."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, assert_never

from emulator.functions_host.process import FUNC, HostKind
from emulator.tenant import LocalCredentialKind

_NEVER: Final = "0 0 0 1 1 *"
"""A schedule for a sync that is started by hand: it fires only on New Year's night."""

RecordStore = Literal["sqlite", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What can be chosen about a local stack. A port of 0 takes a free one."""

    checkout: Path
    folder: Path
    """Where logs, the records and the keys go; emptied at the start."""
    functions_port: int = 0
    aws_port: int = 0
    entra_port: int = 0
    functions_host: HostKind = "auto"
    credential: LocalCredentialKind = LocalCredentialKind.MANAGED_IDENTITY
    record_store: RecordStore = "sqlite"
    schedule: str = _NEVER
    authorizer_cache_seconds: int = 300
    token_version: Literal[1, 2] = 2
    sync_fan_out: bool = False
    """Whether the sync runs shard by shard, by messages in a storage queue on Azurite."""
    record_limit: int | None = None
    """How many records the source gets; all of them by default."""
    feed_shards: int = 1
    """How many shards the source's feed gets."""
    imports_records: bool = True
    """Whether the source gets any; without, its table takes an import of somebody else's."""

    @property
    def needs_azurite(self) -> bool:
        """Whether Azure Storage is needed: for records, queues, or the timers of Core Tools."""
        return self._keeps_records_there or self.sync_fan_out or self._uses_core_tools

    @property
    def _keeps_records_there(self) -> bool:
        match self.record_store:
            case "sqlite":
                return False
            case "table":
                return True
            case _:
                assert_never(self.record_store)

    @property
    def _uses_core_tools(self) -> bool:
        match self.functions_host:
            case "emulated":
                return False
            case "auto" | "core-tools":
                return shutil.which(FUNC) is not None
            case _:
                assert_never(self.functions_host)


def function_app_python(checkout: Path) -> Path:
    """Return the interpreter of the environment that the Function App ships with."""
    return checkout / ".tools" / "function-app" / "bin" / "python"
