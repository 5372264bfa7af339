"""If-Match and If-None-Match (RFC 9110 section 13), for records whose ETags are all strong."""

import re
from dataclasses import dataclass
from typing import Final

from aws_backend.errors import InvalidRequest, PreconditionFailed
from aws_backend.proxy_event import Headers

# RFC 9110 section 8.8.3: etagc is any visible character but the double quote.
_ENTITY_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# RFC 9110 section 5.6.1: a recipient takes empty list elements.
_TAG_LIST = re.compile(rf"[ \t,]*{_ENTITY_TAG}(?:[ \t]*,[ \t,]*{_ENTITY_TAG})*[ \t,]*")
_WEAK: Final = "W/"


@dataclass(frozen=True, slots=True)
class EntityTags:
    """The value of one of the two fields: some tags, or `*`, which stands for any."""

    tags: frozenset[str]
    is_any: bool = False

    def match_strongly(self, current: str | None) -> bool:
        """Return whether the record's tag is among them; None means that there is no record."""
        return current is not None and (self.is_any or current in self.tags)

    def match_weakly(self, current: str | None) -> bool:
        """Return whether the record's tag is among them; a weak tag counts by its opaque part."""
        opaque = {tag.removeprefix(_WEAK) for tag in self.tags}
        return current is not None and (self.is_any or current in opaque)


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What the caller requires of the record's present state; None requires nothing."""

    if_match: EntityTags | None = None
    if_none_match: EntityTags | None = None

    def check_if_match(self, current: str | None) -> None:
        """Raise PreconditionFailed unless If-Match allows a record with this tag."""
        if self.if_match is not None and not self.if_match.match_strongly(current):
            raise PreconditionFailed("The record is not in the state that If-Match names.")

    def check_if_none_match(self, current: str | None) -> None:
        """Raise PreconditionFailed if If-None-Match names this tag: the rule for writes."""
        if self.is_known(current):
            raise PreconditionFailed("The record is in a state that If-None-Match names.")

    def is_known(self, current: str | None) -> bool:
        """Return whether If-None-Match names this tag: the caller has this state already."""
        return self.if_none_match is not None and self.if_none_match.match_weakly(current)


def parse_preconditions(headers: Headers) -> Preconditions:
    """Return the preconditions in the header fields.

    Raises:
        InvalidRequest: `precondition_invalid`: a field is neither `*` nor a list of entity tags.

    """
    return Preconditions(
        if_match=_parse_field(headers, "if-match"),
        if_none_match=_parse_field(headers, "if-none-match"),
    )


def _parse_field(headers: Headers, name: str) -> EntityTags | None:
    lines = headers.get(name)
    if lines is None:
        return None
    text = ", ".join(lines).strip(" \t")
    if text == "*":
        return EntityTags(frozenset(), is_any=True)
    if not _TAG_LIST.fullmatch(text):
        raise InvalidRequest(
            "precondition_invalid",
            f'{name} must be * or a list of entity tags in double quotes, such as "3".',
        )
    return EntityTags(frozenset(re.findall(_ENTITY_TAG, text)))
