"""Builds the site: `python -m documenting.site dist/site`."""

import sys
from pathlib import Path

from documenting.site.build import build_site
from documenting.site.errors import SiteError


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 if the site was built, and 1 with a sentence if not."""
    try:
        (target,) = arguments
    except ValueError:
        sys.stderr.write("say where to: python -m documenting.site dist/site\n")
        return 2
    try:
        pages = build_site(Path.cwd(), Path(target))
    except SiteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{len(pages)} pages are in {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
