"""Where the clouds of `bridge clouds` are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deployment.errors import DeploymentError

CLOUDS_FILE: Final = "clouds.json"


@dataclass(frozen=True, slots=True)
class CloudsFile:
    """Where the local clouds are. The token is a secret of theirs."""

    entra: Mapping[str, str] = field(repr=False)
    aws: Mapping[str, str]
    azure: Mapping[str, str]
    folder: Path


def read_local_clouds(folder: Path) -> CloudsFile:
    """Return where the local clouds of the folder are.

    Raises:
        DeploymentError: there are none.

    """
    try:
        document = json.loads((folder / CLOUDS_FILE).read_text(encoding="utf-8"))
        return CloudsFile(document["entra"], document["aws"], document["azure"], folder)
    except (OSError, ValueError, KeyError, TypeError):
        raise DeploymentError(
            "local_clouds_missing",
            f"There are no local clouds in {folder}: run `bridge clouds` and leave it running.",
        ) from None
