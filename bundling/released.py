"""Takes what a release has built in place of building it: its zips, by the release's checksums.

Who published the release is not checked: `gh attestation verify` says that (docs/releasing.md).
"""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Final

from bundling.errors import BundleError

_CHECKSUMS: Final = "SHA256SUMS"


def read_released(release: Path, name: str) -> bytes:
    """Return the content of a file of the release that the folder holds.

    Raises:
        BundleError: it is not there, or is another one than the release was published with.

    """
    try:
        lines = (release / _CHECKSUMS).read_text(encoding="utf-8").splitlines()
        content = (release / name).read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{release} is no whole release: {error}. Take it by `gh release download`."
        ) from error
    expected = {file: digest for digest, _spaces, file in (line.partition("  ") for line in lines)}
    if expected.get(name) != hashlib.sha256(content).hexdigest():
        raise BundleError(
            f"{release / name} is not what {_CHECKSUMS} says: take the release once more."
        )
    return content


def unpack_released(release: Path, name: str, into: Path) -> None:
    """Write the files of one of the release's zips into the folder.

    Raises:
        BundleError: the zip is not there, is another one, or is none.

    """
    try:
        with zipfile.ZipFile(io.BytesIO(read_released(release, name))) as archive:
            archive.extractall(into)
    except zipfile.BadZipFile as error:
        raise BundleError(f"{release / name} cannot be unpacked: {error}") from error
