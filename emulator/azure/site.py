"""One Function App: its settings, its package, and the Functions host that runs both.

It runs once it has settings and a package, and again after either has changed. As in Azure, a
package that is a package replaces the one before, also if the app then does not start; one that is
none changes nothing.
"""

import asyncio
import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from emulator.azure.package_file import unpack_package
from emulator.azure.settings_overlay import Surroundings, overlay_for_local
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.process import (
    FunctionsHostProcess,
    PackageRun,
    start_functions_host,
)
from emulator.loopback import LOOPBACK, find_free_port

_STOPPED_WITHIN_SECONDS: Final = 30.0
_KEY_BYTES: Final = 32

SiteState = Literal["without_settings", "without_package", "running", "failed"]


@dataclass(frozen=True, slots=True)
class SitePlace:
    """Where sites run."""

    folder: Path
    """Gets the packages, the keys, and the logs."""
    python: Path
    """The interpreter of the Functions host."""
    around: Surroundings
    lock: int
    """A descriptor that each host keeps open."""


@dataclass(slots=True)
class Site:
    """A Function App; made by a deployment, and run by what is published to it."""

    name: str
    place: SitePlace
    tags: Mapping[str, str]
    settings: Mapping[str, str] | None = field(default=None, repr=False)
    package_digest: str | None = None
    """The SHA-256 of the zip file that is unpacked, in hex."""
    problem: str | None = None
    """Why the app did not start, secrets taken out by its log."""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    port: int = field(default_factory=find_free_port)
    starts: int = 0
    """How often its app was started."""
    _unpacked: Path | None = None
    _host: FunctionsHostProcess | None = None

    def __post_init__(self) -> None:
        """Make the keys that callers must show, as Azure does at a site's first start."""
        self.keys = {name: secrets.token_urlsafe(_KEY_BYTES) for name in ("master", "function")}
        self._folder.mkdir(parents=True, exist_ok=True)
        self._keys_file.touch(mode=0o600)
        self._keys_file.write_text(json.dumps(self.keys), encoding="utf-8")

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def state(self) -> SiteState:
        """What keeps it from running, or that it runs."""
        if self.settings is None:
            return "without_settings"
        if self._unpacked is None:
            return "without_package"
        if self._host is None or self._host.has_ended:
            return "failed"
        return "running"

    @property
    def log_file(self) -> Path:
        """What host and app write, from the last start on."""
        return self.place.folder / "logs" / f"{self.name}.log"

    async def configure(self, settings: Mapping[str, str]) -> None:
        """Give the app these settings and no others; a running app is started again with them."""
        if settings != self.settings or self.state == "failed":
            self.settings = dict(settings)
            await self._start_again()

    async def publish(self, zip_file: Path) -> None:
        """Replace the app by that package.

        Raises:
            AzureRefusal: it is no package; the app runs on as it is.

        """
        content = await asyncio.to_thread(zip_file.read_bytes)
        digest = hashlib.sha256(content).hexdigest()
        if digest == self.package_digest and self.state == "running":
            return
        unpacked = self._folder / f"package-{digest[:12]}-{secrets.token_hex(4)}"
        await asyncio.to_thread(unpack_package, zip_file, unpacked)
        replaced, self._unpacked, self.package_digest = self._unpacked, unpacked, digest
        await self._start_again()
        if replaced is not None:
            await asyncio.to_thread(shutil.rmtree, replaced, ignore_errors=True)

    async def stop(self) -> None:
        """End the app, if it runs."""
        if self._host is not None:
            host, self._host = self._host, None
            await asyncio.to_thread(host.stop, _STOPPED_WITHIN_SECONDS)

    async def _start_again(self) -> None:
        await self.stop()
        self.problem = None
        if self.settings is None or self._unpacked is None:
            return
        self.starts += 1
        try:
            self._host = await start_functions_host(
                self._unpacked,
                python=self.place.python,
                port=self.port,
                environment=overlay_for_local(self.settings, self.place.around),
                log_file=self.log_file,
                kind="emulated",
                held_open=(self.place.lock,),
                package=PackageRun(self._keys_file, self.keys["master"]),
            )
        except FunctionsHostError as error:
            self.problem = str(error)

    @property
    def _folder(self) -> Path:
        return self.place.folder / "sites" / self.name

    @property
    def _keys_file(self) -> Path:
        return self._folder / "keys.json"
