"""Builds the site, from files of this machine only."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from documenting.site.errors import SiteError
from documenting.site.pages import stage

SOURCE: Final = Path(".cache/site-source")
"""Where mkdocs.yml has mkdocs look for the pages."""
PACKAGES: Final = Path(".tools/site/node_modules")
SCRIPTS: Final = {
    "mermaid.js": "@mermaid-js/tiny/dist/mermaid.tiny.js",
    "iframe-worker.js": "iframe-worker/shim/index.js",
}
"""What the pages run that mkdocs-material would fetch from elsewhere, by its name in the site."""


def build_site(checkout: Path, target: Path) -> tuple[str, ...]:
    """Return the pages of the site, which is in `target` then.

    Raises SiteError where mkdocs warns of anything, as it does of a dead link, or where the tools
    are not there.
    """
    mkdocs = checkout / ".tools" / "docs" / "bin" / "mkdocs"
    missing = [
        str(path)
        for path in (mkdocs, *(checkout / PACKAGES / name for name in SCRIPTS.values()))
        if not path.exists()
    ]
    if missing:
        message = f"Run make site-tools: {', '.join(missing)} is missing."
        raise SiteError(message)
    pages = stage(checkout, checkout / SOURCE)
    scripts = checkout / SOURCE / "scripts"
    scripts.mkdir()
    for name, source in SCRIPTS.items():
        shutil.copyfile(checkout / PACKAGES / source, scripts / name)
    # Not --quiet: with it mkdocs counts no warnings, and nothing is strict.
    command = [str(mkdocs), "build", "--strict", "--site-dir", str(target.absolute())]
    result = subprocess.run(  # noqa: S603 - our own tool, from the lock
        command, cwd=checkout, capture_output=True, text=True, check=False
    )
    if result.returncode:
        message = f"mkdocs did not build the site:\n{result.stdout}{result.stderr}"
        raise SiteError(message)
    # Its links begin at the host's root, where a project's site does not stand.
    (target / "404.html").unlink()
    return pages
