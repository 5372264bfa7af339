"""The bundles that AWS gets, built for this machine and for the runtime that MiniStack starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bundling.bundles import RECIPES, BundleBuilder
from bundling.requirements import find_uv

BOOTSTRAP: Final = """\
#!/bin/sh
# Hands over to AWS's own runtime client. Who started MiniStack says which Python has it, and where
# the functions' lines go. /var/task cannot be written to on AWS, so nothing is written here either.
export PYTHONPATH="$LAMBDA_TASK_ROOT" PYTHONDONTWRITEBYTECODE=1
exec "$LOCAL_LAMBDA_PYTHON" -m awslambdaric "$_HANDLER" >>"$LOCAL_LAMBDA_LOG" 2>&1
"""
"""What a local bundle starts with: the `provided` runtimes run it in each new environment."""

type Bundles = Mapping[str, Path]
"""Each function's zip file, by the function's logical ID."""


def build_local_bundles(root: Path) -> Bundles:
    """Return every function's bundle, ready for MiniStack; a second call finds them built.

    Raises:
        BundleError: the requirements could not be installed.

    """
    builder = BundleBuilder(root, find_uv(root), root / ".cache" / "bundles")
    return {
        function: builder.build_zip(recipe, platform=None, programs={"bootstrap": BOOTSTRAP})
        for function, recipe in RECIPES.items()
    }
