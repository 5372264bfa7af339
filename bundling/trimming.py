"""What of an installed requirement is not shipped, because nothing reads it in the cloud."""

import re
import shutil
from pathlib import Path
from typing import Final

# cryptography's bindings were compiled when its wheel was made: of cffi only the C module loads.
_UNUSED_PACKAGES: Final = ("bin", "cffi", "pycparser", "pycparser-*.dist-info", "boto3/examples")
_UNUSED_FILES: Final = ("*.pyi", "*.h", "*.c", "*.pxd", "*.pxi", "*.pyx", "py.typed")
# Security scanners and licenses need these two of a distribution's records; nothing needs the rest.
_KEPT_RECORDS: Final = re.compile(r"\.dist-info/(METADATA$|licenses/|LICENSE|NOTICE)")
# botocore ships the description of every AWS service, 25 MB; ours call one.
_SERVICE_DATA: Final = ("botocore/data", "boto3/data")
_CALLED_SERVICES: Final = frozenset({"dynamodb"})


def trim(folder: Path) -> None:
    """Delete from a folder of installed requirements what does not run and binds nobody."""
    unused = [path for pattern in _UNUSED_PACKAGES for path in folder.glob(pattern)]
    unused += [path for pattern in _UNUSED_FILES for path in folder.rglob(pattern)]
    unused += [
        path
        for path in folder.glob("*.dist-info/**/*")
        if path.is_file() and not _KEPT_RECORDS.search(path.as_posix())
    ]
    unused += [
        service
        for data in _SERVICE_DATA
        for service in (folder / data).glob("*/")
        if service.name not in _CALLED_SERVICES
    ]
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
