"""PyJWT's key class, imported without the parts of PyJWT that an authorizer never runs.

PyJWT holds our keys and checks our signatures. But `import jwt` also loads its HTTP client (with
urllib, http and ssl) and its claim checks, and its algorithms load the X.509 half of `cryptography`
to recognize a certificate handed in as an HMAC secret, and its SSH half, with every cipher there
is, to read keys in OpenSSH's form. None of that runs here, and on the measuring machine it is 55 of
the 84 ms that the import takes. So PyJWT's own `__init__` runs when something first asks the
package for what only that has made, X.509 when something first touches it, by the standard
library's `LazyLoader`, and SSH when PyJWT first calls it. Nothing is missing: whoever says
`import jwt` gets the whole package, with the same classes, and whoever imports a module of
`cryptography` gets that. Should a release of PyJWT not load this way, it is imported as ever.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jwt.api_jwk import PyJWK

_PACKAGE = "jwt"
_DEFERRED = "cryptography.x509"
_PRIMITIVES = "cryptography.hazmat.primitives"
_SERIALIZATION = f"{_PRIMITIVES}.serialization"
_SSH = f"{_SERIALIZATION}.ssh"


class _DeferringFinder:
    """Finds one module as ever, but has it run only when something first reads from it."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec with a lazy loader, or None for every other module."""
        if name != _DEFERRED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


class _PackageAlone(ModuleType):
    """A package whose own code has not run yet, only that of modules in it."""

    def __getattr__(self, name: str) -> object:
        """What only the package's own code makes; so that runs now, once."""
        self.__class__ = ModuleType  # type: ignore[assignment]  # what it is from now on
        if self.__spec__ is not None and self.__spec__.loader is not None:
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)


class _FunctionsLater(ModuleType):
    """In place of a module: each function in it imports the real one when it is called."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        """The function of that name, or what looks like it until it is called."""
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: object) -> object:
            return getattr(import_module(self.__name__), name)(*arguments)

        return call


@contextmanager
def _without_ssh() -> Iterator[None]:
    """What is imported meanwhile from `cryptography` does without SSH; what is later, does not."""
    if _SERIALIZATION in sys.modules:
        yield
        return
    sys.modules[_SSH] = _FunctionsLater(_SSH)
    try:
        yield
    finally:
        # LazyLoader cannot do this: the package around takes names out of the module at once. So
        # that package has to go as well; the next to import it has it made anew, and whole.
        for name in (_SSH, _SERIALIZATION):
            sys.modules.pop(name, None)
        with suppress(KeyError, AttributeError):
            delattr(sys.modules[_PRIMITIVES], "serialization")


def _import_alone() -> "type[PyJWK]":
    spec = find_spec(_PACKAGE)
    if spec is None:
        raise ImportError(_PACKAGE)
    package = module_from_spec(spec)
    package.__class__ = _PackageAlone
    sys.modules[_PACKAGE] = package
    sys.meta_path.insert(0, _DeferringFinder)
    try:
        with _without_ssh():
            from jwt.api_jwk import PyJWK  # noqa: PLC0415 - the import is what this function does
    except ImportError:
        del sys.modules[_PACKAGE]
        raise
    finally:
        sys.meta_path.remove(_DeferringFinder)
    return PyJWK


def load_key_class() -> "type[PyJWK]":
    """`jwt.PyJWK`, at about a third of what importing the whole of PyJWT costs.

    Raises:
        ImportError: PyJWT or `cryptography` is not installed.

    """
    if _PACKAGE not in sys.modules:
        with suppress(ImportError):
            return _import_alone()
    from jwt.api_jwk import PyJWK  # noqa: PLC0415 - only where the lighter way is not open

    return PyJWK
