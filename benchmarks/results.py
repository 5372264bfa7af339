"""What a benchmark measured: its targets, and the file, with no more digits than mean something."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """What must hold, and what was measured."""

    name: str
    bound: str
    measured: float
    is_held: bool


def write_results(file: Path, document: Mapping[str, object]) -> None:
    """Write the document as JSON; the file's folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(_rounded(document), indent=2, ensure_ascii=False) + "\n")


def _rounded(value: object) -> object:
    match value:
        case float():
            return float(f"{value:.4g}")
        case Mapping():
            return {name: _rounded(member) for name, member in value.items()}
        case list() | tuple():
            return [_rounded(member) for member in value]
        case _:
            return value
