"""Writes the pictures: runs what they show, and keeps what was seen."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from documenting.pictures.browser import ShotError
from documenting.pictures.console_view import NAME as CONSOLE
from documenting.pictures.console_view import shoot_console
from documenting.pictures.privacy import PrivateError, check_public, with_fixed_ports
from documenting.pictures.pseudo_terminal import RunError, run_in_terminal
from documenting.pictures.scene import Scene
from documenting.pictures.scenes import SCENES
from documenting.pictures.screen import ScreenError
from documenting.pictures.stage import STAGE_ERRORS, open_stage
from documenting.pictures.terminal_svg import DARK, LIGHT, to_svg
from shared.clock import Clock, SystemClock

type Say = Callable[[str], None]

_PROMPT: Final = "\x1b[1;32m$\x1b[0m"


class UnknownPictureError(Exception):
    """There is no picture of that name."""


class UnlikePictureError(Exception):
    """A run has not shown what its picture is for."""


PICTURE_ERRORS: Final = (
    *STAGE_ERRORS,
    PrivateError,
    RunError,
    ScreenError,
    ShotError,
    UnknownPictureError,
    UnlikePictureError,
)


class _Steps:
    """Tells what the stack does as it starts."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def step(self, text: str) -> None:
        self._say(f"  {text}")

    def advance(self, done: int, total: int) -> None:
        """Do nothing, because counts would fill a log."""


def write_pictures(checkout: Path, folder: Path, say: Say, *, only: str | None = None) -> None:
    """Run what the pictures show, one after the other, and write them into the folder.

    Args:
        checkout: whose commands are run.
        folder: where the pictures go; none is changed whose run fails.
        say: what each step is told to.
        only: the name of one picture, to make no other.

    Raises:
        PICTURE_ERRORS: a run has failed, or shown what no picture may show.

    """
    names = [*(scene.name for scene in SCENES), CONSOLE]
    chosen = [name for name in names if only in {None, name}]
    if not chosen:
        raise UnknownPictureError(f"there is no picture {only}; there are {', '.join(names)}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bridge-pictures-") as place:
        asyncio.run(_write_all(checkout, Path(place), folder, chosen, say))


async def _write_all(
    checkout: Path, place: Path, folder: Path, chosen: Sequence[str], say: Say
) -> None:
    clock = SystemClock()
    scenes = [scene for scene in SCENES if scene.name in chosen]
    async with contextlib.AsyncExitStack() as stage_is_open:
        stage = None
        for scene in scenes:
            arguments: tuple[str, ...] = ()
            if scene.prepare is not None:
                if stage is None:
                    say("starting a stack for the commands")
                    opened = open_stage(checkout, place, _Steps(say))
                    stage = await stage_is_open.enter_async_context(opened)
                arguments = await scene.prepare(stage, place)
            say(f"running {' '.join(scene.command)}")
            lines = await asyncio.to_thread(seen, scene, arguments, checkout, place, clock)
            for mode in (LIGHT, DARK):
                svg = to_svg(lines, scene.title, mode, columns=scene.columns)
                (folder / f"{scene.name}-{mode}.svg").write_text(svg, encoding="utf-8")
    if CONSOLE in chosen:
        # One of its own, on which nobody has called yet.
        say("starting a stack for the console")
        async with open_stage(checkout, place, _Steps(say)) as console_stage:
            say("pressing the console's buttons")
            await shoot_console(console_stage, folder, clock)


def seen(
    scene: Scene, arguments: Sequence[str], checkout: Path, place: Path, clock: Clock
) -> list[str]:
    """Return what the terminal shows after the scene's command, the command included.

    Raises:
        RunError, ScreenError: it ended as it must not, or wrote what this terminal cannot show.
        PrivateError: it shows what stays on this machine.
        UnlikePictureError: a heading is missing.

    """
    program, *given = (*scene.command, *arguments)
    screen = run_in_terminal(
        (checkout / ".venv" / "bin" / program, *given),
        place,
        clock,
        columns=scene.columns,
        seconds=scene.seconds,
        expected=scene.exit_status,
    )
    typed = " ".join((program, *given))
    plain = screen.text_lines()
    check_public([typed, *plain])
    if missing := [each for each in scene.headings if not any(each in line for line in plain)]:
        raise UnlikePictureError(f"`{typed}` has not shown: {', '.join(missing)}")
    return [f"{_PROMPT} \x1b[1m{typed}\x1b[0m", *with_fixed_ports(screen.ansi_lines())]
