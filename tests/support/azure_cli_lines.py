"""Run by azure-cli's own Python: says of each `az` line whether azure-cli parses it.

Reads a JSON list of argument lists, without the leading `az`, from standard input; writes a JSON
list with null for a line that parses, and azure-cli's own complaint for one that does not. Nothing
is run: a line ends where its arguments are parsed, before any validator could ask Azure.
"""

import contextlib
import io
import json
import logging
import sys
from typing import Any

from azure.cli.core import get_default_cli  # type: ignore[import-untyped]
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS  # type: ignore[import-not-found]


class _Parsed(BaseException):
    """The arguments are parsed. No Exception, because azure-cli catches every one of those."""


def _stop(_cli: object, **_event: object) -> None:
    raise _Parsed


def _complaint(arguments: list[str]) -> str | None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("cli")
    logger.addHandler(handler)
    cli: Any = get_default_cli()
    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, _stop)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            cli.invoke(arguments, out_file=said)
    except _Parsed:
        return None
    except SystemExit:
        pass
    finally:
        logger.removeHandler(handler)
    return said.getvalue().strip() or "azure-cli did not get as far as running it"


if __name__ == "__main__":
    lines: list[list[str]] = json.load(sys.stdin)
    answers = [_complaint(line) for line in lines]
    json.dump(answers, sys.stdout)
