"""Importing PyJWT's key class alone."""

import sys
from importlib.machinery import BuiltinImporter
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aws_authorizer import pyjwt
from aws_authorizer.pyjwt import load_key_class
from tests.support.keys import private_key


def forget_pyjwt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have PyJWT as if it had not been imported, until the test ends."""
    for name in [name for name in sys.modules if name == "jwt" or name.startswith("jwt.")]:
        monkeypatch.delitem(sys.modules, name)


def test_when_pyjwt_is_already_imported_then_its_class_is_the_one() -> None:
    """Where somebody has paid for the whole package, there is nothing to save."""
    import jwt  # noqa: PLC0415 - the point of the test

    assert jwt.PyJWK is load_key_class()


def test_when_pyjwt_is_not_imported_then_the_key_module_is_loaded_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither its client nor its claim checks, until something asks the package for them."""
    forget_pyjwt(monkeypatch)
    key_class = load_key_class()
    assert "jwt.api_jwk" in sys.modules
    assert not {"jwt.jwks_client", "jwt.api_jwt"} & sys.modules.keys()
    assert key_class is load_key_class()

    import jwt  # noqa: PLC0415 - the point of the test

    assert "jwt.api_jwt" not in sys.modules
    assert jwt.PyJWK is key_class
    assert jwt.decode.__module__ in sys.modules
    assert jwt.algorithms is sys.modules["jwt.algorithms"]
    assert jwt.exceptions.PyJWTError is jwt.PyJWTError
    assert type(jwt) is ModuleType
    with pytest.raises(AttributeError):
        jwt.no_such_name  # type: ignore[attr-defined]  # noqa: B018 - asking is the test


def test_when_pyjwt_cannot_be_loaded_alone_then_it_is_loaded_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A release that is laid out differently costs time, not the function."""
    forget_pyjwt(monkeypatch)
    monkeypatch.setattr(pyjwt, "module_from_spec", lambda _spec: ModuleType("jwt"))

    assert "PyJWK" == load_key_class().__name__
    assert "jwt.api_jwt" in sys.modules


def test_when_pyjwt_is_not_installed_then_the_import_error_is_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bundle without PyJWT fails with the usual message."""
    forget_pyjwt(monkeypatch)
    monkeypatch.setattr(pyjwt, "find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "meta_path", [BuiltinImporter])

    with pytest.raises(ModuleNotFoundError):
        load_key_class()


def test_when_the_import_is_over_then_nothing_of_it_is_left_behind() -> None:
    """Later imports find their modules as ever."""
    load_key_class()

    assert pyjwt._DeferringFinder not in sys.meta_path
    assert pyjwt._DeferringFinder.find_spec("json", None) is None
    assert pyjwt._DeferringFinder.find_spec("cryptography.x509", []) is None
    spec = pyjwt._DeferringFinder.find_spec(
        "cryptography.x509", sys.modules["cryptography"].__path__
    )
    assert spec is not None
    assert "LazyLoader" in type(spec.loader).__name__ or "_LazyModule" in repr(spec.loader)


def forget_serialization(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the part of `cryptography` that reads key files as if it had not been imported."""
    names = [name for name in sys.modules if name.startswith(pyjwt._SERIALIZATION)]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    if names:
        monkeypatch.delattr(sys.modules[pyjwt._PRIMITIVES], "serialization")


def test_when_the_key_class_is_loaded_then_ssh_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything left that somebody else could take for it."""
    forget_pyjwt(monkeypatch)
    forget_serialization(monkeypatch)
    load_key_class()

    assert pyjwt._SSH not in sys.modules
    assert pyjwt._SERIALIZATION not in sys.modules
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - the point

    assert pyjwt._SSH == serialization.load_ssh_public_key.__module__


def test_when_pyjwt_is_handed_an_ssh_key_then_it_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported later is not missing."""
    forget_pyjwt(monkeypatch)
    forget_serialization(monkeypatch)
    load_key_class()
    public = private_key().public_key()
    text = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    algorithm = sys.modules["jwt.algorithms"].RSAAlgorithm(SHA256)

    assert public == algorithm.prepare_key(text)
    assert pyjwt._SSH in sys.modules


def test_when_key_files_are_read_already_then_that_module_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has paid for SSH keeps it."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - the point

    forget_pyjwt(monkeypatch)
    load_key_class()

    assert serialization is sys.modules[pyjwt._SERIALIZATION]
    assert not isinstance(sys.modules[pyjwt._SSH], pyjwt._FunctionsLater)


def test_when_a_module_is_put_off_then_its_dunder_names_are_not_invented() -> None:
    """The import system asks for some, and takes what it gets seriously."""
    with pytest.raises(AttributeError):
        pyjwt._FunctionsLater("later").__path__  # noqa: B018 - asking is the test
