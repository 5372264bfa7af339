"""Searches for the request that makes the authorizer work hardest before it refuses.

    python -m benchmarks.authorizer.hostile --seed 1 --mixtures 4000

Every candidate passes the expression that the template lets API Gateway check first, and none has a
good signature. Each comes with a header that was never seen before, so none is remembered. What
counts is how many times as long it takes as the same handler takes over a good token with a forged
signature, which nobody can make cheaper. Both are the processor's time of this thread, measured in
turn; the least of the rounds is taken, because anything else that runs on the machine only adds to
it.
"""

import argparse
import base64
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from aws_authorizer.bootstrap import build_authorizer
from aws_authorizer.errors import Unauthorized, Undecided
from aws_authorizer.handler import authorize
from aws_authorizer.key_set_fetch import FetchedKeySet
from aws_authorizer.settings import load_settings
from aws_authorizer.strict_json import TOKEN_BOUNDS
from aws_authorizer.token import HEADER_BOUNDS
from benchmarks.authorizer import material
from shared.clock import SystemClock

AT_MOST: Final = 5.0
"""The promise: no request costs more than so many forged signatures."""

_NEW_HEADER: Final = 20
"""How much longer a header may become that is made a new one."""
_MAX_CREDENTIAL: Final = 10_240 - len("Authorization")
_SIGNATURE: Final = material.base64url(bytes(255) + b"\1")
_TEMPLATE: Final = Path(__file__).parents[2] / "infra" / "aws" / "template.yaml"

# What means something to a reader of JSON, and what looks nearly like it.
_TOKENS: Final = (
    '"', r"\"", "\\\\", r"\n", r"\u00e9", r"\ud83d\ude00", r"\ud83d", "[", "]", "{", "}", "[],",
    "{},", ",", ":", " ", "0,", "1,", "-1,", "12345678901234567890,", "1700000000,", "0.5,",
    "0.12345678901234,", "1700000000.12345,", "1e0,", "1e-300,", "9" * 300, "true,", "null,",
    '"",', '"a",', '"a":1,', '{"a":1},', '{"a":0.12345678901234,"b":0.5},', "\u00e9", "\U0001f600",
)  # fmt: skip
_OPENINGS: Final = ("{", '{"a":', '{"a":[', '{"a":"', '{"a":' + "[" * 17, '{"a":' + "[" * 17 + '"')
_CLOSINGS: Final = ("", "}", "]}", '"}', '"]}', "0]}", "\\")


class Candidate(NamedTuple):
    """One hostile token, and what it is made of, for people."""

    made_of: str
    token: str


class Cost(NamedTuple):
    """What one candidate costs."""

    candidate: Candidate
    microseconds: float
    times_forged: float
    reason: str


def read_validation_expression() -> re.Pattern[str]:
    """What the template lets API Gateway check before it calls the function."""
    found = re.search(r'ValidationExpression: "(.+)"', _TEMPLATE.read_text())
    if found is None:
        raise SystemExit("the template has no ValidationExpression")
    return re.compile(found[1].replace("\\\\", "\\"))


class Bench:
    """One authorizer with one tenant's key, and a way to have it decide."""

    def __init__(self) -> None:
        """Make a key and an authorizer that has fetched it."""
        now = int(SystemClock().now())
        pair = material.make_signing_pair(now)
        body = json.dumps({"keys": [pair.jwk]}).encode()
        self.head = material.base64url(json.dumps(material.header(pair.key_id)).encode())
        self.claims = material.claims(0, now, 250)
        self.reasons: list[str] = []
        self._new_headers = count()
        self._authorizer = build_authorizer(
            load_settings(
                {
                    "ENTRA_TENANT_ID": material.TENANT_ID,
                    "API_CLIENT_ID": material.API_CLIENT_ID,
                    "ALLOWED_CLIENT_IDS": material.CLIENT_ID,
                }
            ),
            clock=SystemClock(),
            write=self._note,
            build_fetch=lambda _url, _seconds: lambda: FetchedKeySet(body, None),
        )

    def _note(self, line: str) -> None:
        self._line = line

    def token(self, claims: bytes, head: bytes | None = None) -> str:
        """A token of these claims, with a signature that is none."""
        header = self.head if head is None else material.base64url(head)
        return f"{header}.{material.base64url(claims)}.{_SIGNATURE}"

    def room(self) -> int:
        """How many octets the claims may have."""
        return (
            (_MAX_CREDENTIAL - len("Bearer ") - len(self.head) - _NEW_HEADER - len(_SIGNATURE) - 2)
            * 3
            // 4
        )

    def with_new_header(self, token: str) -> str:
        """The token with one more member in its header, which makes it one that nobody has read."""
        head, _, rest = token.partition(".")
        text = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
        new = text[:-1] + b',"r":%d}' % next(self._new_headers)
        return f"{material.base64url(new)}.{rest}"

    def measure(self, token: str, rounds: int, *, has_new_header: bool = True) -> float:
        """The least processor time of so many decisions, in microseconds."""
        least = float("inf")
        for _ in range(rounds):
            sent = self.with_new_header(token) if has_new_header else token
            event = {
                "type": "TOKEN",
                "authorizationToken": f"Bearer {sent}",
                "methodArn": material.METHOD_ARN,
            }
            began = time.thread_time_ns()
            try:
                authorize(self._authorizer, event, "request")
            except (Unauthorized, Undecided):
                least = min(least, time.thread_time_ns() - began)
            else:
                raise SystemExit("a forged token was let in")
        return least / 1_000

    def reason(self, token: str) -> str:
        """Why the token is refused."""
        self.measure(token, 1)
        return str(json.loads(self._line)["reason"])


def _shown(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:10]}…({len(text)})"  # noqa: PLR2004 - for people


def mixtures(bench: Bench, seed: int) -> Iterator[Candidate]:
    """Random families: an opening, a mixture repeated a random number of times, an ending.

    Half of them stand in a claim of their own behind good claims, so that all of the checks before
    the signature, and the signature itself, are paid for as well.
    """
    chance = random.Random(seed)  # noqa: S311 - a search, not a secret
    room = bench.room()
    good = json.dumps(bench.claims, separators=(",", ":"))[:-1]
    for _ in count():
        opening = chance.choice(_OPENINGS)
        if chance.random() < 0.5:  # noqa: PLR2004 - half of them
            opening = f'{good},"z":' + chance.choice(["[", '"', '{"a":[', "[" * 14])
        body = "".join(chance.choices(_TOKENS, k=chance.randint(1, 3)))
        closing = chance.choice(_CLOSINGS)
        most = max(1, (room - len((opening + closing).encode())) // len(body.encode()))
        # What is bounded by number costs most at its bound, and the rest at the longest.
        times = min(most, chance.choice([most, 16, 23, 24, 70, 96, 200, 205, 224]))
        text = opening + body * times + closing
        if chance.random() < 0.3 and body.endswith(","):  # noqa: PLR2004 - often well-formed
            text = f"{opening}{(body * times)[:-1]}" + ("]}" if "[" in opening else "}")
        yield Candidate(
            f"{'good claims, ' if opening.startswith(good) else ''}"
            f"{_shown(opening.removeprefix(good))} + {times} x {_shown(body)} + {_shown(closing)}",
            bench.token(text.encode()),
        )


def at_the_bounds(bench: Bench) -> Iterator[Candidate]:
    """Good claims with as many further members or values as are read, each as slow as can be."""
    good = json.dumps(bench.claims, separators=(",", ":"))[:-1]
    room = TOKEN_BOUNDS.commas - len(bench.claims)
    names = TOKEN_BOUNDS.colons - len(bench.claims) - 4
    for value in ("0.12345678901234", "1700000000.12345", "-123456789012345678", '""', "[]", "0"):
        for number in (room - 1, TOKEN_BOUNDS.brackets - 3, names):
            members = ",".join(f'"{i:x}":{value}' for i in range(min(number, names)))
            members += f',"z":[{",".join([value] * (number - names))}]' if number > names else ""
            yield Candidate(
                f"{number} members of {value}", bench.token(f"{good},{members}}}".encode())
            )
            values = ",".join([value] * number)
            yield Candidate(
                f"{number} values of {value}", bench.token(f'{good},"z":[{values}]}}'.encode())
            )
    objects = ",".join(
        '{"a":0.12345678901234,"b":0.12345678901234,"c":0.12345678901}' for _ in range(28)
    )
    rest = ",".join(["0.12345678901234"] * (room - 20 * 3 - 2))
    yield Candidate(
        "objects, then fractions", bench.token(f'{good},"z":[{objects},{rest}]}}'.encode())
    )
    pairs = r"\ud83d\ude00" * ((bench.room() - len(good) - 10) // 12)
    yield Candidate("surrogate pairs", bench.token(f'{good},"z":"{pairs}"}}'.encode()))
    whole = "k" * (bench.room() - len(good) - 10)
    yield Candidate("the longest claim", bench.token(f'{good},"z":"{whole}"}}'.encode()))


def of_escapes(bench: Bench) -> Iterator[Candidate]:
    """Good claims and the longest string of short escapes, each a step of its own to a reader."""
    good = json.dumps(bench.claims, separators=(",", ":"))[:-1]
    room = bench.room() - len(good) - 24
    for escape in (r"\n", r"a\n", r"\\", r"\"", r"\/", r"\u0041", r"a\u00e9", r"\ud83d\ude00a"):
        text = (escape * (room // len(escape))) + r"\ud83d\ude00"
        yield Candidate(f"a string of {escape}", bench.token(f'{good},"z":"{text}"}}'.encode()))


def with_long_headers(bench: Bench) -> Iterator[Candidate]:
    """A header as long as is read, before claims that are slow as well."""
    good = json.dumps(bench.claims, separators=(",", ":"))[:-1]
    head = base64.urlsafe_b64decode(bench.head + "=" * (-len(bench.head) % 4)).decode()[:-1]
    slow = ",".join(["0.12345678901234"] * (TOKEN_BOUNDS.commas - len(bench.claims) - 1))
    for value in ("0", "-1", "0.5", '""', "0.12345678901234"):
        for number in (HEADER_BOUNDS.commas - 4, 900 // (len(value) + 1)):
            values = ",".join([value] * number)
            yield Candidate(
                f"a header with {number} x {value}, and claims with fractions",
                bench.token(f'{good},"z":[{slow}]}}'.encode(), f'{head},"z":[{values}]}}'.encode()),
            )
    values = '"z":[' + ",".join(["0"] * 450) + "]"
    text = r"a\n" * ((bench.room() - len(good) - 1_000) // 3) + r"\ud83d\ude00"
    yield Candidate(
        r"a header with 450 x 0, and claims with a string of a\n",
        bench.token(f'{good},"z":"{text}"}}'.encode(), f"{head},{values}}}".encode()),
    )
    for escape in (r"\n", r"a\n"):
        text = escape * (1_300 // len(escape))
        yield Candidate(
            f"a header with a string of {escape}, and claims with fractions",
            bench.token(f'{good},"z":[{slow}]}}'.encode(), f'{head},"z":"{text}"}}'.encode()),
        )


def with_long_ids(bench: Bench) -> Iterator[Candidate]:
    """An ID that is none, made of what separates the parts of one."""
    for claim in ("oid", "azp"):
        room = bench.room() - len(json.dumps(bench.claims))
        for text in ("-" * room, "a-" * (room // 2)):
            members = bench.claims | {claim: text}
            encoded = json.dumps(members, separators=(",", ":")).encode()
            yield Candidate(f"{claim} of {_shown(text)}", bench.token(encoded))


def families(bench: Bench) -> Iterator[Candidate]:
    """Everything that was thought of, and not found by chance."""
    for family in (at_the_bounds, of_escapes, with_long_headers, with_long_ids):
        yield from family(bench)


def search(
    bench: Bench, seed: int, number: int, tell: Callable[[str], None]
) -> tuple[float, list[Cost]]:
    """The time of a forged signature, and the candidates that cost most, the worst first."""
    passes = read_validation_expression()
    forged = bench.token(json.dumps(bench.claims, separators=(",", ":")).encode())
    if bench.reason(forged) != "bad_signature":
        raise SystemExit("the forged token is refused before its signature")
    candidates = list(families(bench))
    candidates += [
        candidate for candidate, _ in zip(mixtures(bench, seed), range(number), strict=False)
    ]
    first: list[tuple[float, Candidate]] = []
    for i, candidate in enumerate(candidates):
        if i % 1_000 == 0:
            tell(f"{i} of {len(candidates)} candidates")
        if passes.fullmatch(f"Bearer {candidate.token}"):
            first.append((bench.measure(candidate.token, 5), candidate))
    first.sort(key=lambda pair: -pair[0])
    baseline = bench.measure(forged, 400, has_new_header=False)
    costs = []
    for _, candidate in first[:40]:
        baseline = min(baseline, bench.measure(forged, 100, has_new_header=False))
        costs.append((bench.measure(candidate.token, 200), candidate))
    return baseline, sorted(
        (
            Cost(candidate, cost, cost / baseline, bench.reason(candidate.token))
            for cost, candidate in costs
        ),
        key=lambda cost: -cost.microseconds,
    )


def main() -> int:
    """Print the worst candidates; the exit status is 1 if the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="where the search begins")
    parser.add_argument("--mixtures", type=int, default=4_000, help="how many to try")
    chosen = parser.parse_args()
    bench = Bench()
    baseline, costs = search(
        bench, chosen.seed, chosen.mixtures, lambda text: print(text, file=sys.stderr, flush=True)
    )
    print(f"forged signature on a good token: {baseline:.1f} µs\n")
    print(f"{'µs':>8} {'x forged':>9}  {'reason':<20} made of")
    for cost in costs[:12]:
        print(
            f"{cost.microseconds:8.1f} {cost.times_forged:9.2f}  {cost.reason:<20}"
            f" {cost.candidate.made_of}"
        )
    worst = costs[0].times_forged
    print(f"\nworst: {worst:.2f} x a forged signature, at most {AT_MOST}: ", end="")
    print("met" if worst <= AT_MOST else "missed")
    return 0 if worst <= AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
