"""What is deployed to Azure: the closure of function_app.py, and nothing else."""

import subprocess
from fnmatch import fnmatch
from pathlib import Path

from bundling.function_app import OWN_FILES, OWN_PACKAGES

CHECKOUT = Path(__file__).parents[2]
SHIPPED = {*OWN_FILES, *OWN_PACKAGES}


def test_when_the_app_is_published_then_only_its_own_files_go_along() -> None:
    """Every file or folder at the top is either part of the Function App or ignored."""
    lines = (CHECKOUT / ".funcignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is where PATH says
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.partition("/")[0] for line in listed.stdout.splitlines()}

    published = {name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)}

    assert SHIPPED == published
