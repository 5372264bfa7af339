"""What is left of installed requirements."""

from pathlib import Path

from bundling.trimming import trim


def test_when_requirements_are_trimmed_then_what_runs_and_what_binds_us_stays(
    tmp_path: Path,
) -> None:
    """Data of other AWS services, build-time files and installer records go; licenses stay."""
    kept = [
        "_cffi_backend.cpython-313.so",
        "boto3/data/dynamodb/2012-08-10/resources-1.json.gz",
        "boto3/session.py",
        "botocore/data/dynamodb/2012-08-10/service-2.json.gz",
        "botocore/data/endpoints.json",
        "cryptography-50.dist-info/METADATA",
        "cryptography-50.dist-info/licenses/LICENSE",
        "cryptography/hazmat/bindings/_rust.abi3.so",
        "psutil/_pslinux.py",
        "six-1.dist-info/LICENSE",
        "werkzeug/http.py",
        "yarl/_quoting_py.py",
    ]
    gone = [
        "bin/jp.py",
        "boto3/data/s3/2006-03-01/resources-1.json.gz",
        "boto3/examples/s3.rst",
        "botocore/data/s3/2006-03-01/service-2.json.gz",
        "cffi/api.py",
        "cryptography-50.dist-info/RECORD",
        "cryptography/hazmat/bindings/_rust/x509.pyi",
        "cryptography/py.typed",
        "pycparser-3.dist-info/METADATA",
        "pycparser/c_parser.py",
        "psutil/_pswindows.py",
        "werkzeug/debug/__init__.py",
        "yarl/_quoting_c.pyx",
        "yarl/_quoting_c.cpython-313.so",
    ]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    trim(tmp_path)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept == sorted(path.relative_to(tmp_path).as_posix() for path in files)


def test_when_another_distribution_imports_a_part_then_the_part_stays(tmp_path: Path) -> None:
    """Who adds Flask to the requirements gets the routes of werkzeug with it."""
    write(tmp_path / "werkzeug/routing/map.py", "")
    write(tmp_path / "werkzeug/debug/tbtools.py", "")
    write(tmp_path / "flask/app.py", "import os\nfrom werkzeug.routing import Map\n")

    trim(tmp_path)

    assert (tmp_path / "werkzeug/routing/map.py").exists()
    assert not (tmp_path / "werkzeug/debug").exists()


def test_when_a_convention_is_named_anywhere_then_it_stays(tmp_path: Path) -> None:
    """However it is imported: of the others there are some hundred."""
    conventions = tmp_path / "opentelemetry/semconv/_incubating/attributes"
    for name in ("__init__", "db_attributes", "session_attributes", "zos_attributes"):
        write(conventions / f"{name}.py", "")
    write(
        tmp_path / "exporter.py",
        "from opentelemetry.semconv._incubating.attributes import (\n    session_attributes,\n)",
    )
    write(
        tmp_path / "sdk/one.py",
        "import opentelemetry.semconv._incubating.attributes.db_attributes as db",
    )

    write(tmp_path / "sdk/two.py", "from opentelemetry.semconv.attributes import zos_attributes")

    trim(tmp_path)

    assert {"__init__", "db_attributes", "session_attributes"} == {
        path.stem for path in conventions.iterdir()
    }


def test_when_metadata_are_trimmed_then_the_fields_stay(tmp_path: Path) -> None:
    """Scanners and the bill of materials read name, version and license; nobody the README."""
    metadata = tmp_path / "six-1.dist-info/METADATA"
    write(metadata, "Name: six\nLicense: MIT\n\n# A README\n\nName: seven\n")

    trim(tmp_path)

    assert "Name: six\nLicense: MIT\n\n" == metadata.read_text()


def write(file: Path, text: str) -> None:
    """A file with this text, its folders made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
