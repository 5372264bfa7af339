"""The queries that Graph understands here: filters by equality, selected fields, pages."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from emulator.entra.errors import GraphRefusal
from emulator.entra.tenant_store import GraphObject

_EQUALS: Final = re.compile(r"(\w+) eq '((?:[^']|'')*)'")
_ANY_EQUALS: Final = re.compile(r"(\w+)/any\((\w+): ?(\w+) eq '((?:[^']|'')*)'\)")
_FILTERABLE: Final = frozenset({"displayName", "appId", "uniqueName", "id"})
_LISTS: Final = frozenset({"identifierUris"})


def answer_list(
    objects: Sequence[GraphObject], query: Mapping[str, str], url: str, page_size: int
) -> dict[str, Any]:
    """Return one page of those objects that the query asks for.

    Raises:
        GraphRefusal: the query is not understood.

    """
    found = [entry for entry in objects if _matches(entry, query.get("$filter", ""))]
    try:
        start = int(query.get("$skiptoken", "0"))
        size = min(int(query.get("$top", page_size)), page_size)
    except ValueError:
        raise _unsupported("$top") from None
    page: dict[str, Any] = {
        "@odata.context": f"{url}/$metadata",
        "value": [select(entry, query) for entry in found[start : start + size]],
    }
    if start + size < len(found):
        further = urlencode({**query, "$skiptoken": start + size}, safe="$")
        page["@odata.nextLink"] = f"{url}?{further}"
    return page


def select(entry: GraphObject, query: Mapping[str, str]) -> dict[str, Any]:
    """Return those fields of the object that the query asks for."""
    fields = query.get("$select", "")
    return {name: value for name, value in entry.items() if not fields or name in fields.split(",")}


def _matches(entry: GraphObject, expression: str) -> bool:
    if not expression:
        return True
    if equality := _EQUALS.fullmatch(expression):
        name, value = equality.groups()
        if name in _FILTERABLE:
            return _text(entry.get(name)) == _text(value.replace("''", "'"))
    elif any_equality := _ANY_EQUALS.fullmatch(expression):
        name, variable, compared, value = any_equality.groups()
        if name in _LISTS and variable == compared:
            wanted = _text(value.replace("''", "'"))
            return wanted in [_text(item) for item in entry.get(name, ())]
    raise _unsupported(expression)


def _text(value: object) -> str:
    # Graph compares without regard to case.
    return str(value).lower()


def _unsupported(what: str) -> GraphRefusal:
    return GraphRefusal(400, "Request_UnsupportedQuery", f"Unsupported Query: {what}")
