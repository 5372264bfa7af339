"""GUIDs as Entra ID writes them: 8-4-4-4-12 hexadecimal digits in lower case."""

import re
from functools import lru_cache
from typing import Final

_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NIL_GUID: Final = "00000000-0000-0000-0000-000000000000"


# The same few callers come again and again, and the match takes longer than to remember it.
@lru_cache(maxsize=256)
def is_guid(text: str) -> bool:
    """Return whether the text is a GUID as Entra ID writes it into tokens."""
    return _GUID.fullmatch(text) is not None


def parse_guid(text: str) -> str:
    """Return the GUID in lower case, however it is spelled.

    Raises:
        ValueError: it is no GUID in the 8-4-4-4-12 form, or the nil one.

    """
    guid = text.lower()
    if not is_guid(guid) or guid == _NIL_GUID:
        raise ValueError(f"{text!r} is not a GUID")
    return guid
