"""GUIDs as Entra ID writes them: 8-4-4-4-12 hexadecimal digits in lower case."""

from functools import lru_cache
from typing import Final

_DIGITS: Final = frozenset("0123456789abcdef")
_CHARACTERS: Final = 36
_GROUPS: Final = [8, 4, 4, 4, 12]
_NIL_GUID: Final = "00000000-0000-0000-0000-000000000000"


def is_guid(text: str) -> bool:
    """Return whether the text is a GUID as Entra ID writes it into tokens."""
    # A claim of thousands of hyphens is neither taken apart nor remembered.
    return len(text) == _CHARACTERS and _is_guid(text)


# The same few callers come again and again, and looking takes longer than remembering.
@lru_cache(maxsize=256)
def _is_guid(text: str) -> bool:
    groups = text.split("-")
    return [len(group) for group in groups] == _GROUPS and _DIGITS.issuperset("".join(groups))


def parse_guid(text: str) -> str:
    """Return the GUID in lower case, however it is spelled.

    Raises:
        ValueError: it is no GUID in the 8-4-4-4-12 form, or the nil one.

    """
    guid = text.lower()
    if not is_guid(guid) or guid == _NIL_GUID:
        raise ValueError(f"{text!r} is not a GUID")
    return guid
