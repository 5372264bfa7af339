"""azure-cli's own judgment on `az` lines, many in one process, because loading it takes seconds."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PYTHON = CHECKOUT / ".tools" / "azure-cli" / "bin" / "python"
"""Python with azure-cli in it, which `make deploy-checks` installs."""
_SCRIPT = Path(__file__).with_name("azure_cli_lines.py")


def complaints_of_azure_cli(lines: Sequence[Sequence[str]]) -> list[str | None]:
    """Return for each `az` line what azure-cli's parser says against it, and None if it parses.

    A line is a list of arguments that begins with `az`. No line is run, nothing is sent, and the
    developer's own sign-in is not looked at. Parsed is what argparse sees: names of commands and
    options, choices, what is required; not what a validator would ask Azure or read from a file.
    """
    assert all(line[0] == "az" for line in lines), "a line begins with az"
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(
            [PYTHON, _SCRIPT],
            input=json.dumps([list(line[1:]) for line in lines]),
            env={
                "PATH": os.defpath,
                "HOME": home,
                "AZURE_CONFIG_DIR": home,
                "AZURE_CORE_COLLECT_TELEMETRY": "no",
                "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    answers: list[str | None] = json.loads(result.stdout)
    assert len(answers) == len(lines)
    return answers
