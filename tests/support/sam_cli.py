"""SAM's own judgment on `sam` lines, many in one process, because loading it takes seconds."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PYTHON = CHECKOUT / ".tools" / "sam" / "bin" / "python"
"""Python with SAM in it, which `make deploy-checks` installs."""
_SCRIPT = Path(__file__).with_name("sam_lines.py")


def complaints_of_sam(lines: Sequence[Sequence[str]], folder: Path = CHECKOUT) -> list[str | None]:
    """Return for each `sam` line what SAM's parser says against it, and None if it parses.

    A line is a list of arguments that begins with `sam`; paths are seen from the folder, where SAM
    wants the named templates and parameter files to be. No line is run.
    """
    assert all(line[0] == "sam" for line in lines), "a line begins with sam"
    profiles = {value for line in lines for word, value in pairwise(line) if word == "--profile"}
    with tempfile.TemporaryDirectory() as home:
        # SAM wants a named profile to be there.
        configuration = Path(home, "aws-config")
        configuration.write_text("".join(f"[profile {each}]\n" for each in profiles))
        result = subprocess.run(
            [PYTHON, _SCRIPT],
            input=json.dumps([list(line[1:]) for line in lines]),
            cwd=folder,
            env={
                "PATH": os.defpath,
                "HOME": home,
                "SAM_CLI_TELEMETRY": "0",
                "AWS_CONFIG_FILE": str(configuration),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    answers: list[str | None] = json.loads(result.stdout)
    assert len(answers) == len(lines)
    return answers
