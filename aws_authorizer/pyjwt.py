"""PyJWT's key class, imported without the parts of PyJWT that an authorizer never runs.

PyJWT holds our keys and checks our signatures. But `import jwt` also loads its HTTP client (with
urllib, http and ssl) and its claim checks, and its algorithms load the X.509 half of `cryptography`
to recognize a certificate handed in as an HMAC secret. None of that runs here, and on the measuring
machine it is 43 of the 97 ms to import. So the package's own `__init__` is left out while its key
module is loaded, and X.509 is loaded when something first touches it, by the standard library's
`LazyLoader`. Nothing is patched: whoever says `import jwt` afterwards gets the whole package, with
the same classes. Should a release of PyJWT not load this way, it is imported whole.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jwt.api_jwk import PyJWK

_PACKAGE = "jwt"
_DEFERRED = "cryptography.x509"


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


def _import_alone() -> "type[PyJWK]":
    spec = find_spec(_PACKAGE)
    if spec is None:
        raise ImportError(_PACKAGE)
    # The package as a mere place to import from: it has its path, and nothing in it has run.
    sys.modules[_PACKAGE] = module_from_spec(spec)
    sys.meta_path.insert(0, _DeferringFinder)
    try:
        from jwt.api_jwk import PyJWK  # noqa: PLC0415 - the import is what this function does
    finally:
        sys.meta_path.remove(_DeferringFinder)
        del sys.modules[_PACKAGE]
    return PyJWK


def load_key_class() -> "type[PyJWK]":
    """`jwt.PyJWK`, at about half of what importing the whole of PyJWT costs.

    Raises:
        ImportError: PyJWT or `cryptography` is not installed.

    """
    if _PACKAGE not in sys.modules:
        try:
            return _import_alone()
        except ImportError:
            pass
    from jwt import PyJWK  # noqa: PLC0415 - only where the lighter way is not open

    return PyJWK
