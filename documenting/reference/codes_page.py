"""The index of codes: who says each, and where it is explained."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from documenting.reference.codes import code_groups, gateway_codes
from documenting.reference.tables import code, table

TROUBLESHOOTING: Final = "docs/troubleshooting.md"
_ROW: Final = re.compile(r"\| ((?:`[a-z][a-z_<>]*`(?:, )?)+) \|")


def to_markdown(checkout: Path, page: str) -> str:
    """Return the page's sections."""
    sections = sections_of_codes(page)
    statuses = gateway_codes(checkout)
    parts = []
    for group in code_groups(checkout):
        rows = [
            [
                code(name)
                + (
                    f" ({statuses[name]})"
                    if statuses.get(name) and group.title == "API Gateway"
                    else ""
                ),
                ", ".join(map(code, sources)),
                _link(sections.get(name)),
            ]
            for name, sources in group.sources.items()
        ]
        parts += [
            f"## {group.title}",
            group.intro,
            table(("Code", "Said in", "Explained under"), rows),
        ]
    return "\n\n".join(parts)


def sections_of_codes(page: str) -> Mapping[str, str]:
    """Return the heading under which each code has a row of a table."""
    found: dict[str, str] = {}
    heading = ""
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif row := _ROW.match(line):
            for name in re.findall(r"`([^`]+)`", row[1]):
                found.setdefault(name, heading)
    return found


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub and the site give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _link(heading: str | None) -> str:
    if heading is None:
        return ""
    return f"[{heading}](../troubleshooting.md#{anchor_of(heading)})"
