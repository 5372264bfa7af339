"""Runs one program, and ends it and its children when the process that asked for it is gone.

`python -I supervisor.py <program> <argument>...`, with a pipe for standard input whose other end
only the asker holds. However the asker ends, the pipe closes, and then the program's whole process
group is told to end, and killed two seconds later. So nothing depends on what the program itself
watches. SIGTERM and SIGINT are passed on to the group; after one of them, the
closed pipe means now. SIGUSR1 stops the group where it is, so that it answers nobody, and SIGUSR2
lets it go on.

The group is also killed when the program ends by itself and leaves children behind. A child that
starts a process group of its own is not found; no program of the local stack does.
"""

import os
import select
import signal
import subprocess
import sys
from typing import Final

_GRACE_SECONDS: Final = 2.0
_STDIN: Final = 0
_CANNOT_START: Final = 127
_KILLED_BY: Final = 128
"""Added to a signal's number, as shells report it."""
_PASSED_ON: Final = {
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGINT: signal.SIGINT,
    signal.SIGHUP: signal.SIGTERM,
}
_PAUSES: Final = {signal.SIGUSR1: signal.SIGSTOP, signal.SIGUSR2: signal.SIGCONT}


def _has_ended(process_id: int) -> bool:
    # The process is left unreaped, which keeps its number, and so its group's, from being reused.
    return os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _supervise(program: int, signals: int) -> None:
    """Wait until the program has ended, then kill its group."""
    watched = [_STDIN, signals]
    is_ending = False
    while not _has_ended(program):
        readable, _, _ = select.select(watched, [], [])
        for number in os.read(signals, select.PIPE_BUF) if signals in readable else b"":
            if number == signal.SIGALRM:
                os.killpg(program, signal.SIGKILL)
            elif number in _PASSED_ON:
                os.killpg(program, _PASSED_ON[signal.Signals(number)])
                # What is stopped hears of it only when it goes on.
                os.killpg(program, signal.SIGCONT)
                is_ending = True
            elif number in _PAUSES:
                os.killpg(program, _PAUSES[signal.Signals(number)])
        if _STDIN in readable and not os.read(_STDIN, select.PIPE_BUF):
            watched.remove(_STDIN)
            if is_ending:
                os.killpg(program, signal.SIGKILL)
            else:
                os.killpg(program, signal.SIGTERM)
                os.killpg(program, signal.SIGCONT)
                signal.setitimer(signal.ITIMER_REAL, _GRACE_SECONDS)
    try:
        os.killpg(program, signal.SIGKILL)
    except PermissionError:
        # What macOS says of a group in which only the unreaped program is left.
        return


def main(command: list[str]) -> int:
    """Run the program and return its exit code: 128 plus the signal's number if one ended it."""
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # Handlers, because a program inherits what is ignored or blocked.
    for number in (*_PASSED_ON, *_PAUSES, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, lambda *_: None)
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603 - what our own start_tied_process asks for
    except OSError as error:
        sys.stderr.write(f"{command[0]} could not be started: {error.strerror}\n")
        return _CANNOT_START
    _supervise(program.pid, signals)
    code = program.wait()
    return code if code >= 0 else _KILLED_BY - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
