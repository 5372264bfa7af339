"""The programs that `make deploy-checks` installs, each in an environment of its own."""

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
DELIVERY_CHECKS = CHECKOUT / ".tools" / "delivery-checks" / "bin"
POLICY_CHECKS = CHECKOUT / ".tools" / "policy-checks" / "bin"


def run_tool(
    program: Path, *arguments: str | Path, folder: Path = CHECKOUT, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """What the program says of the arguments, and its exit status."""
    return subprocess.run(
        [program, *arguments], cwd=folder, input=given, capture_output=True, text=True, check=False
    )
