"""Digests of what a step deploys, by which the next run sees whether anything differs."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_HEX_DIGITS: Final = 32
_PARAMETER_DIGITS: Final = 12
_BICEP_REFERENCE: Final = re.compile(r"'([^'\n$]+\.(?:bicep|json|jsonc|txt))'")
_KEY_SET: Final = "key_set.json"
_WEEK_SECONDS: Final = 604_800


def digest_of(*parts: object) -> str:
    """Return the digest of these parts, which JSON can hold; bytes go in as their own digest."""
    encoded = json.dumps([_plain(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(encoded.encode()).hexdigest()[:_HEX_DIGITS]


def release_of(digest: str, parameters: Mapping[str, str]) -> str:
    """Return the release that a stack is told: what it is deployed from, and its parameters."""
    return f"{digest}.{_digest_of_parameters(parameters)}"


def digest_in(release: str) -> str:
    """Return the digest of what a stack was deployed from; what others named is no such digest."""
    return release.partition(".")[0]


def is_as_released(release: str, parameters: Mapping[str, str]) -> bool:
    """Return whether a stack has the parameters it was told; true of a release that is not ours."""
    _digest, _dot, told = release.partition(".")
    return not told or told == _digest_of_parameters(parameters)


def _digest_of_parameters(parameters: Mapping[str, str]) -> str:
    return digest_of(dict(parameters))[:_PARAMETER_DIGITS]


def _plain(part: object) -> object:
    return hashlib.sha256(part).hexdigest() if isinstance(part, bytes) else part


def digest_of_module(module: Path) -> str:
    """Return the digest of a Bicep module and of every file of ours that it refers to."""
    found: dict[str, bytes] = {}
    waiting = [module.resolve()]
    while waiting:
        file = waiting.pop()
        name = file.relative_to(module.resolve().parent, walk_up=True).as_posix()
        if name in found or not file.is_file():
            continue
        found[name] = file.read_bytes()
        text = found[name].decode(errors="replace")
        waiting += [
            (file.parent / reference).resolve() for reference in _BICEP_REFERENCE.findall(text)
        ]
    return digest_of({name: hashlib.sha256(content).hexdigest() for name, content in found.items()})


def digest_of_bundles(folder: Path, functions: Iterable[str]) -> str:
    """Return the digest of what `sam build` made of these functions.

    Of a bundled key set the keys count, and the week in which they were retrieved: building again
    within a week changes nothing, and a weekly job deploys keys that are younger.
    """
    contents: dict[str, str] = {}
    for function in functions:
        for file in sorted((folder / function).rglob("*")):
            if file.is_file():
                name = file.relative_to(folder).as_posix()
                contents[name] = _digest_of_file(file)
    return digest_of(contents)


def _digest_of_file(file: Path) -> str:
    content = file.read_bytes()
    if file.name != _KEY_SET:
        return hashlib.sha256(content).hexdigest()
    members: Mapping[str, object] = json.loads(content)
    retrieved_at = members.get("retrieved_at")
    week = retrieved_at // _WEEK_SECONDS if isinstance(retrieved_at, int) else None
    return digest_of({**members, "retrieved_at": week})
