"""A CycloneDX list of what each deployable is made of (`make sbom`)."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from releasing.errors import ReleaseError
from releasing.locks import LockedEnvironments

_SPEC_VERSION: Final = "1.6"


@dataclass(frozen=True, slots=True)
class BillOfMaterialsBuilder:
    """Asks cyclonedx-py what an environment made of a lock holds."""

    environments: LockedEnvironments
    cyclonedx: Path
    """The program `cyclonedx-py`."""

    def build(self, deployable: str, version: str, lock: Path | None) -> bytes:
        """Return the list as JSON: the same bytes for the same lock and version.

        A distribution is listed with its version and license as its own metadata have them. What
        the bundle leaves out of a distribution is not told.

        Raises:
            ReleaseError: the lock could not be installed, or the environment not be read.

        """
        listed = self._listed(lock) if lock is not None else _empty()
        # The environment stands in a folder of this machine, so the root is written here.
        root = f"{deployable}@{version}"
        dependencies = [each for each in listed.get("dependencies", []) if each["ref"] != "root"]
        needed = {ref for each in dependencies for ref in each.get("dependsOn", [])}
        direct = sorted({each["bom-ref"] for each in listed.get("components", [])} - needed)
        listed["metadata"] = {
            **{key: value for key, value in listed.get("metadata", {}).items() if key == "tools"},
            "component": {
                "type": "application",
                "bom-ref": root,
                "group": "azure-aws-bridge",
                "name": deployable,
                "version": version,
                "licenses": [{"license": {"id": "MIT"}}],
            },
        }
        listed["dependencies"] = [{"ref": root, "dependsOn": direct}, *dependencies]
        return (json.dumps(listed, indent=2, sort_keys=True) + "\n").encode()

    def _listed(self, lock: Path) -> dict[str, Any]:
        result = subprocess.run(  # noqa: S603 - our tool, our environment
            [
                self.cyclonedx,
                "environment",
                self.environments.python(lock),
                "--output-reproducible",
                "--short-PURLs",
                "--spec-version",
                _SPEC_VERSION,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ReleaseError("sbom_failed", f"cyclonedx-py failed: {result.stderr.strip()}")
        listed: dict[str, Any] = json.loads(result.stdout)
        return listed


def _empty() -> dict[str, Any]:
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{_SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC_VERSION,
        "version": 1,
        "components": [],
    }
