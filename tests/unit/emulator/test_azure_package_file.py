"""What a published package must be, before any of it is used."""

import stat
import zipfile
from pathlib import Path

import pytest

from emulator.azure import package_file
from emulator.azure.errors import AzureRefusal
from emulator.azure.package_file import unpack_package

WHOLE = {"host.json": b"{}", "function_app.py": b"x = 1\n", "shared/log.py": b"y = 2\n"}
LINK = (stat.S_IFLNK | 0o777) << 16
FIFO = (stat.S_IFIFO | 0o666) << 16


def pack(folder: Path, files: dict[str, bytes], attributes: dict[str, int] | None = None) -> Path:
    """A zip file with that content; attributes are what a file system would say of an entry."""
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo("placeholder")
            entry.filename = entry.orig_filename = name
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (attributes or {}).get(name, 0o100644 << 16)
            archive.writestr(entry, content)
    return path


def refusal_of(zip_file: Path, into: Path) -> str:
    """The code with which it is refused."""
    with pytest.raises(AzureRefusal) as raised:
        unpack_package(zip_file, into)
    return raised.value.code


def test_when_a_package_is_whole_then_its_files_are_there(tmp_path: Path) -> None:
    """Folders too, whether the zip names them or not."""
    into = tmp_path / "app"

    unpack_package(pack(tmp_path, {**WHOLE, "empty/": b""}), into)

    assert WHOLE == {
        path.relative_to(into).as_posix(): path.read_bytes()
        for path in into.rglob("*")
        if path.is_file()
    }
    assert (into / "empty").is_dir()


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "shared/../../outside",
        "/etc/outside",
        "..\\outside",
        "C:\\outside",
        "a\0b",
        "..",
    ],
)
def test_when_a_name_leads_out_then_nothing_is_unpacked(tmp_path: Path, name: str) -> None:
    """Not above the folder, not to the root, not by Windows' separators."""
    code = refusal_of(pack(tmp_path, {**WHOLE, name: b"x"}), tmp_path / "deep" / "app")

    assert "package_unsafe" == code
    assert ["package.zip"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("attributes", [LINK, FIFO])
def test_when_an_entry_is_no_file_then_it_is_refused(tmp_path: Path, attributes: int) -> None:
    """A symbolic link to /etc/passwd would be read by whoever asks the app for a file."""
    package = pack(tmp_path, {**WHOLE, "link": b"/etc/passwd"}, {"link": attributes})

    assert "package_unsafe" == refusal_of(package, tmp_path / "app")


def test_when_two_names_differ_by_case_only_then_the_package_is_refused(tmp_path: Path) -> None:
    """One would hide the other on some machines."""
    package = pack(tmp_path, {**WHOLE, "HOST.json": b"{}"})

    assert "package_unsafe" == refusal_of(package, tmp_path / "app")


@pytest.mark.parametrize("files", [{}, {"function_app.py": b""}, {"app/host.json": b"{}"}])
def test_when_host_json_is_not_at_the_root_then_the_package_is_refused(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    """The commonest mistake is to pack the folder in place of what is in it."""
    assert "package_without_host_json" == refusal_of(pack(tmp_path, files), tmp_path / "app")


@pytest.mark.parametrize("kept", [0, 1, 30, 200])
def test_when_a_package_is_cut_off_then_it_is_refused(tmp_path: Path, kept: int) -> None:
    """An upload that ended early has no directory at its end."""
    package = pack(tmp_path, WHOLE)
    package.write_bytes(package.read_bytes()[:kept])

    assert "package_damaged" == refusal_of(package, tmp_path / "app")


def test_when_the_content_is_not_what_its_checksum_says_then_nothing_stays(tmp_path: Path) -> None:
    """What was unpacked before the damage showed is taken away again."""
    package = pack(tmp_path, {**WHOLE, "last.bin": b"a" * 100})
    content = bytearray(package.read_bytes())
    start = content.index(b"last.bin") + len(b"last.bin")
    content[start] ^= 0xFF
    package.write_bytes(content)

    assert "package_damaged" == refusal_of(package, tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_when_a_package_unpacks_to_too_much_then_it_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of zeros is a kilobyte in a zip; what counts is the megabyte."""
    monkeypatch.setattr(package_file, "_MOST_BYTES", 1_000_000)
    package = pack(tmp_path, {**WHOLE, "bomb": bytes(1_000_000)})

    assert package.stat().st_size < 10_000
    assert "package_too_large" == refusal_of(package, tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_when_an_entry_lies_about_its_size_then_no_more_than_it_says_is_written(
    tmp_path: Path,
) -> None:
    """A bomb that declares 10 bytes fails at its checksum, after 10 bytes."""
    package = pack(tmp_path, {**WHOLE, "bomb": bytes(1_000_000)})
    content = package.read_bytes()
    declared = (1_000_000).to_bytes(4, "little")
    assert content.count(declared) == 2
    package.write_bytes(content.replace(declared, (10).to_bytes(4, "little")))

    assert "package_damaged" == refusal_of(package, tmp_path / "app")


def test_when_a_package_has_too_many_files_then_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inodes run out as well as bytes."""
    monkeypatch.setattr(package_file, "_MOST_FILES", 3)

    assert "package_too_large" == refusal_of(
        pack(tmp_path, {**WHOLE, "one_more": b""}), tmp_path / "app"
    )
