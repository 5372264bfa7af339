"""Takes out of compiled modules what only a debugger reads.

A wheel's modules may carry their debug information: of asyncpg's and httptools' it is nine tenths.
The loader follows the program headers only (System V gABI, "Program Header"; ld.so(8)), so what
lies behind the last segment, sections and symbols for debuggers, is cut off, and the table of
sections with it. What is loaded into memory stays as the wheel has it, byte for byte.
"""

import struct
from pathlib import Path
from typing import Final

_ELF_64_LITTLE: Final = b"\x7fELF\x02\x01"
_HEADER_BYTES: Final = 64
_SECTION_TABLE_OFFSET: Final = 40  # e_shoff, 8 bytes
_SECTION_TABLE_SHAPE: Final = 58  # e_shentsize, e_shnum, e_shstrndx, 2 bytes each
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")


def strip_modules(folder: Path) -> None:
    """Take the debug information out of every compiled module below the folder."""
    for module in folder.rglob("*.so*"):
        if module.is_file() and not module.is_symlink():
            content = module.read_bytes()
            stripped = strip(content)
            if len(stripped) < len(content):
                module.write_bytes(stripped)


def strip(module: bytes) -> bytes:
    """Return the module up to its last segment, or as it is where it is no 64-bit ELF file."""
    if not module.startswith(_ELF_64_LITTLE) or len(module) < _HEADER_BYTES:
        return module
    (table,) = struct.unpack_from("<Q", module, 32)
    entry_bytes, count = struct.unpack_from("<HH", module, 54)
    end = table + entry_bytes * count
    if entry_bytes != _SEGMENT.size or not count or end > len(module):
        return module
    for number in range(count):
        _, _, offset, _, _, bytes_in_file, _, _ = _SEGMENT.unpack_from(
            module, table + number * entry_bytes
        )
        end = max(end, offset + bytes_in_file)
    if end > len(module):
        return module
    kept = bytearray(module[:end])
    struct.pack_into("<Q", kept, _SECTION_TABLE_OFFSET, 0)
    struct.pack_into("<HHH", kept, _SECTION_TABLE_SHAPE, 0, 0, 0)
    return bytes(kept)
