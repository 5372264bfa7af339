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
        "six-1.dist-info/LICENSE",
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
        "yarl/_quoting_c.pyx",
    ]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    trim(tmp_path)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept == sorted(path.relative_to(tmp_path).as_posix() for path in files)
