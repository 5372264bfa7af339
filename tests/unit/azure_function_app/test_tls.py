"""Whom the Function App trusts over TLS, and by which certificate it makes itself known."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from azure_function_app.tls import (
    TlsCertificate,
    TlsFileProblem,
    build_tls_context,
    check_certificate,
    read_authorities,
)

CA = trustme.CA(organization_name="Authority")
OTHER_CA = trustme.CA(organization_name="Other authority")
OURS = CA.issue_cert("function-app.example")
THEIRS = CA.issue_cert("somebody-else.example")
PEM = CA.cert_pem.bytes()
KEY = OURS.private_key_pem.bytes()
PASSWORD = "made-up"


def key_pem(password: str | None) -> bytes:
    """Our private key, encrypted if a password is given."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    key = load_pem_private_key(KEY, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Writes a file, and gives its path."""

    def write(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


type WriteFile = Callable[[str, bytes], str]


def test_when_a_file_holds_authorities_then_all_of_them_are_read(file: WriteFile) -> None:
    """What stands between them, in any encoding, is left out."""
    both = "Größe\n".encode("latin-1") + PEM + b"# the other\r\n" + OTHER_CA.cert_pem.bytes()
    authorities = read_authorities(file("ca.pem", both))

    assert authorities.isascii()
    assert 2 == authorities.count("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (ssl.PEM_cert_to_DER_cert(PEM.decode()), "not PEM"),
        (b"not PEM", "not PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "broken"),
        (PEM + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "broken"),
        (PEM + b"-----BEGIN CERTIFICATE-----\nAA\xffA\n-----END CERTIFICATE-----\n", "broken"),
        (PEM + KEY, "private key"),
        (PEM + b"#" * 1024 * 1024, "more than"),
    ],
)
def test_when_a_file_holds_no_authorities_then_the_reason_is_said(
    content: bytes, reason: str, file: WriteFile
) -> None:
    """Trust that was meant and is not there would only show in the first call."""
    with pytest.raises(TlsFileProblem, match=reason):
        read_authorities(file("ca.pem", content))


def test_when_there_is_no_file_then_the_reason_is_said(tmp_path: Path) -> None:
    """A folder is none either, nor is a name that no file can have."""
    for path in (tmp_path / "none.pem", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(TlsFileProblem, match="no file"):
            read_authorities(str(path))


def test_when_a_file_may_not_be_read_then_the_reason_is_said(
    file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the refusal is made up."""

    def refuse(*_: object) -> None:
        raise PermissionError

    path = file("ca.pem", PEM)
    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(TlsFileProblem, match="cannot be read"):
        read_authorities(path)


def test_when_authorities_are_added_then_the_public_ones_stay(file: WriteFile) -> None:
    """And none comes from anywhere else."""
    public = build_tls_context().get_ca_certs(binary_form=True)
    trusted = build_tls_context(authorities_path=file("ca.pem", PEM)).get_ca_certs(binary_form=True)

    assert len(public) > 50
    assert {ssl.PEM_cert_to_DER_cert(PEM.decode())} == set(trusted) - set(public)
    assert set(public) <= set(trusted)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_when_the_environment_names_authorities_then_they_are_not_trusted(
    name: str, file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a setting of ours adds any."""
    public = build_tls_context().get_ca_certs()
    monkeypatch.setenv(name, file("ca.pem", PEM))

    assert public == build_tls_context().get_ca_certs()


def test_when_a_context_is_built_then_it_checks_names_and_begins_at_tls_1_2() -> None:
    """Each of these stands on its own, whatever the interpreter's defaults are."""
    context = build_tls_context()

    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version
    assert ssl.CERT_REQUIRED is context.verify_mode
    assert context.check_hostname


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("is_one_file", [True, False])
def test_when_certificate_and_key_fit_then_they_are_taken(
    password: str | None, *, is_one_file: bool, file: WriteFile
) -> None:
    """In one file or in two, with the key encrypted or not."""
    chain, key = OURS.cert_chain_pems[0].bytes(), key_pem(password)
    certificate = (
        TlsCertificate(file("both.pem", key + chain), None, password)
        if is_one_file
        else TlsCertificate(file("cert.pem", chain), file("key.pem", key), password)
    )

    check_certificate(certificate)
    build_tls_context(certificate=certificate)


@pytest.mark.parametrize(
    ("key", "password", "reason"),
    [
        (THEIRS.private_key_pem.bytes(), None, "does not belong"),
        (key_pem(PASSWORD), None, "password is missing"),
        (key_pem(PASSWORD), "another", "does not open"),
        (key_pem(None), PASSWORD, "not encrypted"),
        (b"", None, "do not hold"),
        (b"not PEM", None, "do not hold"),
        (PEM, None, "do not hold"),
    ],
)
def test_when_certificate_and_key_do_not_fit_then_the_reason_is_said(
    key: bytes, password: str | None, reason: str, file: WriteFile
) -> None:
    """Without a question on the terminal, and without the password in the answer."""
    chain = file("cert.pem", OURS.cert_chain_pems[0].bytes())
    certificate = TlsCertificate(chain, file("key.pem", key), password)

    with pytest.raises(TlsFileProblem, match=reason) as caught:
        check_certificate(certificate)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(certificate)


def test_when_a_certificates_file_is_missing_then_the_reason_is_said(file: WriteFile) -> None:
    """The one or the other."""
    there = file("cert.pem", OURS.private_key_and_cert_chain_pem.bytes())
    for certificate in (TlsCertificate("none.pem"), TlsCertificate(there, "none.pem")):
        with pytest.raises(TlsFileProblem, match="no file"):
            check_certificate(certificate)
