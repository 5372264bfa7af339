"""What is left of compiled modules, on modules of this very interpreter's environment."""

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bundling.stripping import strip, strip_modules

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="ELF is what Linux loads")


def compiled_module() -> Path:
    """A compiled module with debug information, of a package that the app ships."""
    spec = importlib.util.find_spec("httptools.parser.parser")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def section_table(module: bytes) -> tuple[int, ...]:
    """Where the table of sections is, and what it looks like."""
    return (*struct.unpack_from("<Q", module, 40), *struct.unpack_from("<HHH", module, 58))


@LINUX
def test_when_a_module_is_stripped_then_it_is_smaller_and_has_no_sections() -> None:
    """Of httptools' parser nine tenths are for debuggers."""
    module = compiled_module().read_bytes()

    stripped = strip(module)

    assert len(stripped) < len(module) / 2
    assert (0, 0, 0, 0) == section_table(stripped)
    assert (0, 0, 0, 0) != section_table(module)


@LINUX
def test_when_a_module_is_stripped_then_what_is_loaded_is_unchanged() -> None:
    """Only the header's four fields on sections differ from the wheel's bytes."""
    module = compiled_module().read_bytes()

    stripped = strip(module)

    differing = {at for at, byte in enumerate(stripped) if byte != module[at]}
    assert differing <= {*range(40, 48), *range(58, 64)}


@LINUX
def test_when_a_stripped_module_is_loaded_then_it_works(tmp_path: Path) -> None:
    """A new interpreter parses an HTTP response by it."""
    package = compiled_module().parents[1]
    copied = tmp_path / "httptools"
    subprocess.run(["cp", "-r", package, copied], check=True)  # noqa: S607 - cp is where PATH says
    strip_modules(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import httptools\n"
        "parser = httptools.HttpResponseParser(object())\n"
        "parser.feed_data(b'HTTP/1.1 204 No Content\\r\\n\\r\\n')\n"
        "print(parser.get_status_code(), httptools.__file__)"
    )

    said = subprocess.run(
        [sys.executable, "-I", "-c", program, tmp_path], capture_output=True, text=True, check=True
    )

    assert f"204 {copied}/__init__.py" == said.stdout.strip()


@pytest.mark.parametrize("cut", [10, 63, 64, 100, -100])
def test_when_a_module_is_cut_off_then_it_is_left_alone(cut: int) -> None:
    """What does not hold what its header says is not made worse."""
    header = bytearray(b"\x7fELF\x02\x01".ljust(64, b"\0"))
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, 1)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 1_000, 1_000, 4096)
    whole = bytes(header) + segment + bytes(1_000 - 64 - 56) + b"for debuggers"

    assert whole[:1_000] == strip(whole)
    assert whole[:cut] == strip(whole[:cut])


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF\x01\x01" + bytes(80), bytes(100)])
def test_when_a_file_is_no_64_bit_elf_then_it_is_left_alone(content: bytes) -> None:
    """A module of Windows or macOS, and an empty file."""
    assert content == strip(content)
