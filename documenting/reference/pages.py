"""Writes the reference pages, each a whole file or what stands between two markers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bridge_cli import settings_table
from documenting.reference import causes, codes_page, commands, metrics, reasons

_WRITTEN: Final = "<!-- written by `make docs` from what the code declares; change it there -->"
_BETWEEN: Final = r"(<!-- {name}: written by `make docs` -->\n).*?(<!-- end of {name} -->)"


def written_pages(checkout: Path) -> Mapping[Path, str]:
    """Return the text that each page must have, by its path in the checkout."""
    troubleshooting = Path(codes_page.TROUBLESHOOTING)
    old = (checkout / troubleshooting).read_text(encoding="utf-8")
    # The codes point at its rows, so at those that it is about to have.
    rows = _filled(_filled(old, "reasons", reasons.to_markdown()), "causes", causes.to_markdown())
    return {
        Path("docs/reference/settings.md"): _page(
            "Settings",
            "Every problem with them is reported at once, by name; nothing starts half-configured."
            " `bridge settings` prints the same.",
            settings_table.to_markdown().replace("### ", "## "),
        ),
        Path("docs/reference/commands.md"): _page(
            "Commands",
            "`bridge` is `.venv/bin/bridge` once `make install` has run. Each command explains"
            " itself with `--help`; wrong usage ends with 2. `make help` lists what make can do.",
            commands.to_markdown(),
        ),
        Path("docs/reference/codes.md"): _page(
            "Codes",
            "Codes are stable: logs, alarms and programs may rely on them. What each means and what"
            " to change stands in [troubleshooting](../troubleshooting.md).",
            codes_page.to_markdown(checkout, rows),
        ),
        Path("docs/reference/metrics.md"): _page(
            "Metrics, alarms and log events",
            "What the deployed parts say about themselves.",
            metrics.to_markdown(checkout),
        ),
        troubleshooting: rows,
    }


def write_pages(checkout: Path) -> None:
    """Write what has changed."""
    for path, text in written_pages(checkout).items():
        target = checkout / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def _filled(page: str, name: str, table: str) -> str:
    """Return the page with the table between its markers; without one, with nothing there."""
    between = re.compile(_BETWEEN.format(name=name), re.DOTALL)
    return between.sub(
        lambda found: f"{found[1]}\n{table}\n\n{found[2]}" if table else f"{found[1]}\n{found[2]}",
        page,
    )


def _page(title: str, intro: str, body: str) -> str:
    return f"# {title}\n\n{_WRITTEN}\n\n{intro}\n\n{body}\n"
