"""The commands that the pages show, and what runs them as a reader would.

A test that runs a page's line gives the line itself to `run_line`, `start_line` or `Shell.run`, or
the whole page to `run_page`. tests/contract/test_every_command.py finds these calls in the tests'
source, so that a line counts as run where, and only where, a test hands it to a shell.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

CHECKOUT = Path(__file__).parents[2]
MARK = "<!-- needs a cloud -->"
OWN = {".git", ".bridge", "bridge.toml", "local.settings.json", "dist", ".cache"}
"""What of a checkout is the reader's own."""

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<marks>`{3,})(?P<language>\w*)[^\n]*\n(?P<body>.*?)^ *(?P=marks) *$",
    re.MULTILINE | re.DOTALL,
)
_END = "\x1e"


class PageCommand(NamedTuple):
    """One command of a page."""

    line: str
    output: tuple[str, ...]
    """What the page says that it prints; `[…]` stands for whatever comes there."""
    needs_a_cloud: bool


def commands_of(page: str) -> Iterator[PageCommand]:
    """Every command of the page's blocks, in order; wrapped lines are one."""
    for fence in _FENCE.finditer(page):
        if fence["language"] not in {"console", "bash", "sh", "shell"}:
            continue
        is_marked = page[: fence.start()].rstrip().endswith(MARK)
        body = re.sub(r"\\\n\s*", "", fence["body"])
        lines = [line.removeprefix(fence["indent"]).rstrip() for line in body.splitlines()]
        # A console has prompts, and without any it is a script.
        is_console = any(line.startswith("$ ") for line in lines)
        command, output = "", list[str]()
        for line in lines:
            if is_console and not line.startswith("$ "):
                output.append(line)
                continue
            if command:
                yield PageCommand(command, tuple(output), is_marked)
            command, output = _plain(line), []
        if command:
            yield PageCommand(command, tuple(output), is_marked)


def _plain(line: str) -> str:
    """The line without its prompt and without the remark behind it."""
    return re.sub(r"(?:^|\s{2,})#\s.*$", "", line.removeprefix("$ ")).strip()


def reads_as(shown: str, printed: str) -> bool:
    """Whether the page shows what was printed."""
    return (
        re.fullmatch(".*".join(map(re.escape, shown.split("[…]"))), printed, re.DOTALL) is not None
    )


def fresh_checkout(folder: Path) -> Path:
    """A checkout with everything installed and nothing run in it yet, as a reader has it."""
    folder.mkdir()
    for entry in CHECKOUT.iterdir():
        if entry.name not in OWN:
            (folder / entry.name).symlink_to(entry)
    return folder


def _environment(folder: Path) -> dict[str, str]:
    path = f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"  # noqa: TID251 - the child's, beside ours
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}  # noqa: TID251


def run_line(line: str, folder: Path, *, add: str = "") -> subprocess.CompletedProcess[str]:
    """What came of the line, in a shell in that folder; `add` are further words behind it."""
    return subprocess.run(
        ["/bin/bash", "-c", f"{line} {add}"],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def start_line(
    line: str, folder: Path, *, until: str, add: str = ""
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The line's process and what it has printed, once it has printed `until`; ended afterward."""
    process = subprocess.Popen(
        ["/bin/bash", "-c", f"exec {line} {add}"],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    printed = []
    try:
        for text in process.stdout:
            printed.append(text)
            if until in text:
                break
        else:
            raise AssertionError("".join(printed))
        yield process, "".join(printed)
    finally:
        process.terminate()
        process.communicate(timeout=60)


class Shell:
    """One terminal: what a line sets, the next one has."""

    def __init__(self, folder: Path, places: Mapping[str, str] = MappingProxyType({})) -> None:
        """Take the folder, and what is elsewhere in this run, such as a port."""
        self._places = places
        self._process = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the terminal."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.communicate(timeout=60)

    def run(self, line: str, *, add: str = "") -> tuple[int, str]:
        """The line's exit status and what it printed."""
        for there, here in self._places.items():
            line = line.replace(there, here)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {line} {add}\n}} < /dev/null\nprintf '\\n{_END}%s\\n' $?\n")
        self._process.stdin.flush()
        printed = list[str]()
        for text in self._process.stdout:
            if text.startswith(_END):
                return int(text[1:]), "".join(printed).rstrip("\n")
            printed.append(text)
        raise AssertionError("".join(printed))


def run_page(
    page: str, shell: Shell, *, but: tuple[str, ...]
) -> Iterator[tuple[PageCommand, int, str]]:
    """Each command of the page in order, its exit status and what it printed.

    `but` are the commands that keep running, which the test starts by itself.
    """
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    for command in commands_of(text):
        if command.line not in but and not command.needs_a_cloud:
            yield command, *shell.run(command.line)
