"""Writes the reference pages: `python -m documenting.reference`."""

from pathlib import Path

from documenting.reference.pages import write_pages

if __name__ == "__main__":
    write_pages(Path.cwd())
