"""Markdown tables, with what would not be text in them made text."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the table; cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in lines)
        .replace("| --- ", "|---")
        .replace("|--- |", "|---|")
    )


def text(plain: str) -> str:
    """Return the text as a cell that shows it as it stands, on one line."""
    line = " ".join(plain.split())
    return line.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def code(name: str) -> str:
    """Return the name in code type."""
    return f"`{name}`"
