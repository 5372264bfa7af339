"""One contender in a process of its own, at the runner's command.

It decides on the first token at once and says so: that is the cold start. Then each line

    run START COUNT LOOPS     decides on so many tokens, so many times; answers with the
                              nanoseconds, of the wall clock and of the processor
    refuse                    decides on a token with a forged signature; answers what came of it

until its standard input ends.
"""

import sys
from time import perf_counter_ns, process_time_ns

import contenders  # type: ignore[import-not-found]  # beside this file in the run's folder


def read_tokens(folder: str, start: int, count: int, line_octets: int) -> list[str]:
    """So many tokens of the file, which is not read as a whole because memory is measured."""
    with open(f"{folder}/tokens", "rb") as file:
        file.seek(start * line_octets)
        return file.read(count * line_octets).decode("ascii").split()


def run(contender: contenders.Contender, folder: str, tokens: list[str], loops: int) -> str:
    """The nanoseconds that deciding took, of both clocks."""
    items, decide = contender.prepare(folder, tokens), contender.decide
    wall, cpu = perf_counter_ns(), process_time_ns()
    for _ in range(loops):
        for item in items:
            decide(item)
    return f"{perf_counter_ns() - wall} {process_time_ns() - cpu}"


def refuse(contender: contenders.Contender, folder: str, token: str) -> str:
    """What comes of a forged signature."""
    # Another character inside the signature: well formed, and wrong.
    forged = token[:-50] + ("A" if token[-50] != "A" else "B") + token[-49:]
    [item] = contender.prepare(folder, [forged])
    try:
        return "accepted" if contender.is_good(contender.decide(item)) else "refused"
    except Exception:  # noqa: BLE001 - each library has its own
        return "refused"


def main() -> None:
    """Decide at once, then as the runner says."""
    name, folder, line_octets = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answers = sys.stdout
    # What a handler logs goes to a file, as on Lambda it goes to the platform.
    sys.stdout = open(f"{folder}/log", "a")  # noqa: SIM115 - it stays open
    contender = getattr(contenders, name)(folder)
    first = read_tokens(folder, 0, 1, line_octets)
    [item] = contender.prepare(folder, first)
    answer = contender.decide(item)
    answers.write(f"decided {process_time_ns()}\n")
    answers.flush()
    if not contender.is_good(answer):
        raise SystemExit(f"{name} refuses a good token")
    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "run":
            start, count, loops = map(int, numbers)
            tokens = read_tokens(folder, start, count, line_octets)
            answers.write(run(contender, folder, tokens, loops) + "\n")
        else:
            answers.write(refuse(contender, folder, first[0]) + "\n")
        answers.flush()
