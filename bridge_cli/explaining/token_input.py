"""The token, from wherever a person has it: a file, a pipe, the credential in use.

Never from the command line: a shell keeps what was typed, and other users of the machine see a
program's arguments while it runs.
"""

import codecs
import json
import logging
import re
import sys
from getpass import getpass
from pathlib import Path
from typing import Final, TextIO

from azure_function_app.errors import TokenAcquisitionError
from azure_function_app.identity.credentials import request_token
from azure_function_app.settings import Settings
from bridge_cli.explaining.errors import ExplainError
from bridge_cli.syncing.settings import load_app_settings
from emulator.functions_host.errors import FunctionsHostError
from shared.log import redacted
from shared.settings_reader import SettingsError

STANDARD_INPUT: Final = "-"
MAX_INPUT_BYTES: Final = 65_536
"""Far more than the longest token, and what may stand around it."""

_LONGEST_PATH: Final = 255
_TERMINAL_LINE: Final = 4_095
"""What a terminal hands over of one line."""
_TOKEN_LIKE: Final = re.compile(r"""(?:^|[\s"'=:,])eyJ[\w-]{4}""", re.ASCII)
_BEFORE_A_TOKEN: Final = re.compile(
    r"""(?:-H|--header)\s+|["']?authorization["']?\s*[:=]\s*|["']?access_?token["']?\s*[:=]\s*"""
    r"""|bearer(?:\s+|$)""",
    re.IGNORECASE,
)
_MOST_LAYERS: Final = 8
_AROUND: Final = "\"'`,; \t\r\n"
"""What may stand around a token, and is in none."""
_JSON_MEMBERS: Final = ("accessToken", "access_token")


def holds_token(argument: str) -> bool:
    """Return whether a command-line argument is a token, or has one in it."""
    return redacted(argument) != argument


def is_token_like(argument: str) -> bool:
    """Return whether a command-line argument may be a token, or have one in it."""
    return _TOKEN_LIKE.search(argument) is not None or len(argument) > _LONGEST_PATH


def read_token(source: str, stdin: TextIO | None) -> str:
    """Return the token that the file holds, or standard input where the source is a hyphen.

    Raises:
        ExplainError: it cannot be read, or holds none.

    """
    if source != STANDARD_INPUT:
        return extract_token(_decode(_read_file(Path(source))))
    if stdin is None or stdin.closed:
        raise ExplainError("input_unreadable", "Standard input is closed: give a file instead.")
    if stdin.isatty():
        return extract_token(_ask_terminal())
    try:
        encoded = stdin.buffer.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise ExplainError(
            "input_unreadable", f"Standard input cannot be read ({type(error).__name__})."
        ) from None
    return extract_token(_decode(encoded))


def obtain_token(file: Path | None) -> str:
    """Return a token of the credential that the Function App's settings name, obtained now.

    Raises:
        ExplainError: the settings are not usable, or Entra ID gave none.

    """
    hint = (
        "Without an argument the token is asked for as the Function App would: that takes its"
        " settings, in the environment, in local.settings.json or by --app-settings FILE. To"
        " explain a token that you have, give a file, or - for standard input."
    )
    try:
        settings = load_app_settings(file)
    except FunctionsHostError as error:
        raise ExplainError("settings_file_invalid", str(error), hint) from None
    except OSError as error:
        raise ExplainError(
            "settings_file_invalid", f"{file} cannot be read ({type(error).__name__}).", hint
        ) from None
    except SettingsError as error:
        problems = (f"{problem}." for problem in error.problems)
        raise ExplainError("app_settings_invalid", *problems, hint) from None
    return _request(settings)


def _request(settings: Settings) -> str:
    # Without any handler, logging would print the libraries' own warnings between our sentences.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        return request_token(settings.token_source, **settings.token_leg).value
    except TokenAcquisitionError as error:
        raise ExplainError(error.code, str(error)) from None


def extract_token(text: str) -> str:
    """Return the token in what was pasted: with quotes, as a header, as the Azure CLI's JSON.

    Raises:
        ExplainError: there is nothing in it, or JSON without a token.

    """
    text = text.strip()
    if text.startswith("{"):
        text = _find_in_json(text)
    for _ in range(_MOST_LAYERS):
        bare = text.strip(_AROUND)
        before = _BEFORE_A_TOKEN.match(bare)
        bare = bare[before.end() :] if before else bare
        if bare == text:
            break
        text = bare
    if not text:
        raise ExplainError("no_token", "There is no token in it: it is empty.")
    return text


def _find_in_json(text: str) -> str:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    found = [document.get(name) for name in _JSON_MEMBERS] if isinstance(document, dict) else []
    for value in found:
        if isinstance(value, str):
            return value
    raise ExplainError(
        "no_token",
        f"There is no token in it: the JSON object has no {' and no '.join(_JSON_MEMBERS)}.",
    )


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_INPUT_BYTES + 1)
    except FileNotFoundError:
        sentence = f"There is no file {path}."
    except IsADirectoryError:
        sentence = f"{path} is a folder, and no file."
    except PermissionError:
        sentence = f"{path} may not be read by this user."
    except (OSError, ValueError) as error:
        sentence = f"{path} cannot be read ({type(error).__name__})."
    raise ExplainError("input_unreadable", sentence)


def _decode(encoded: bytes) -> str:
    if len(encoded) > MAX_INPUT_BYTES:
        raise ExplainError(
            "input_too_large", f"It has more than {MAX_INPUT_BYTES:,} bytes, so it is no token."
        )
    # Windows PowerShell writes UTF-16 where output goes into a file.
    is_utf_16 = encoded.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = encoded.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise ExplainError("input_not_text", "It is no text, so it is no token.") from None
    if "\x00" in text:
        raise ExplainError("input_not_text", "It is no text, so it is no token.")
    return text


def _ask_terminal() -> str:
    try:
        # Without an echo, so that the token does not stay on the screen.
        line = getpass("Paste the token (it is not shown), then Enter: ", sys.stderr)
    except EOFError:
        line = ""
    if len(line) >= _TERMINAL_LINE:
        raise ExplainError(
            "input_cut",
            f"A terminal hands over {_TERMINAL_LINE:,} characters of a line, and the token is"
            " longer: put it into a file, or pipe it.",
        )
    return line
