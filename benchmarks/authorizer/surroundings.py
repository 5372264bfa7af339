"""What the figures depend on beside the code: versions, and the machine's kind, not its name."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

from benchmarks.authorizer import material
from benchmarks.authorizer.contenders import (
    FLOORS,
    OUR_BUNDLE,
    RUNTIME_CLIENTS,
    VERIFIERS,
    Language,
)
from benchmarks.authorizer.programs import Programs

_MODEL: Final = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_VERIFIED_PER_SECOND: Final = re.compile(r"^\+F2:\d+:2048:[\d.]+:([\d.]+)", re.MULTILINE)


def _first_line(command: list[str | Path]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.strip().splitlines()[0]


def measure_openssl() -> float | None:
    """The microseconds of one RSA-2048 verification; None where there is no `openssl`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    command = [openssl, "speed", "-mr", "-seconds", "1", "rsa2048"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    match = _VERIFIED_PER_SECOND.search(result.stdout)
    return None if match is None else round(1e6 / float(match[1]), 2)


def _installed_versions(folder: Path) -> dict[str, str]:
    return {
        item.name.lower().replace("_", "-"): item.version
        for item in importlib.metadata.distributions(path=[str(folder)])
    }


def describe_surroundings(programs: Programs) -> dict[str, object]:
    """Versions, the processor, and what the tokens are like."""
    installed = {
        **_installed_versions(programs.python_packages),
        **_installed_versions(programs.python_peers),
    }
    measured = [(item.language, item.package) for item in (*VERIFIERS, *FLOORS) if item.package]
    packages = {}
    for language, name in (*measured, *RUNTIME_CLIENTS.items()):
        if language is Language.PYTHON:
            packages[name] = installed[name]
        else:
            manifest = programs.node_modules / name / "package.json"
            packages[name] = str(json.loads(manifest.read_text())["version"])
    model = _MODEL.search(Path("/proc/cpuinfo").read_text())
    openssl = shutil.which("openssl")
    return {
        "machine": {
            "processor": model[1] if model else platform.machine(),
            "cores": os.cpu_count(),
            "cores_used": 1,
        },
        "versions": {
            "python": platform.python_version(),
            "python_is_profile_optimized": "--enable-optimizations"
            in str(sysconfig.get_config_var("CONFIG_ARGS")),
            "node": _first_line([programs.node, "--version"]).removeprefix("v"),
            "openssl": _first_line([openssl, "version"]).split()[1] if openssl else None,
            **packages,
        },
        "in_our_bundle": _installed_versions(programs.folder / OUR_BUNDLE),
        "tokens": {
            "characters": material.TOKEN_CHARACTERS,
            "claims": material.CLAIMS,
            "keys_in_the_set": material.KEYS,
        },
    }
