"""Every event that the deployed parts log, from the calls that log it."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEPLOYED: Final = ("azure_function_app", "aws_authorizer", "aws_backend")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One kind of line, as one package writes it."""

    event: str
    package: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]
    """Its own fields; others come with the object that is logged."""


def log_events(checkout: Path) -> tuple[LogEvent, ...]:
    """Return the events of all deployed parts, by package and name."""
    found: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for package in DEPLOYED:
        for file in sorted((checkout / package).rglob("*.py")):
            for event, levels, fields in _events_of(checkout, file):
                known = found.setdefault((package, event), ({}, {}))
                known[0].update(dict.fromkeys(levels))
                known[1].update(dict.fromkeys(fields))
    return tuple(
        LogEvent(event, package, tuple(levels), tuple(fields))
        for (package, event), (levels, fields) in sorted(found.items())
    )


def _events_of(
    checkout: Path, file: Path
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    module = ".".join(file.relative_to(checkout).with_suffix("").parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="log_event"), args=[_, level, event, *_], keywords=keys):
                name = _event_name(module, event)
                if name:
                    fields = tuple(key.arg for key in keys if key.arg)
                    yield name, tuple(_levels(level)), fields
            case ast.Dict(keys=keys, values=values):
                named = {
                    key.value: value
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant) and isinstance(key.value, str)
                }
                match named.get("event"):
                    case ast.Constant(value=str(name)):
                        yield name, (), tuple(key for key in named if key != "event")
                    case _:
                        pass
            case _:
                pass


def _event_name(module: str, event: ast.expr) -> str:
    match event:
        case ast.Constant(value=str(name)):
            return name
        case ast.Name(id=constant):
            return str(getattr(importlib.import_module(module), constant))
        case _:
            return ""  # an error's own code, which is among the codes


def _levels(level: ast.expr) -> Iterator[str]:
    for node in ast.walk(level):
        if isinstance(node, ast.Attribute):
            yield node.attr.lower()
