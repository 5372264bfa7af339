"""What stands in a queue and what a function sees of it: texts, their encoding, and outputs."""

import base64
import binascii
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, assert_never

from emulator.functions_host.host_json import MessageEncoding

_QUEUE_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_POISON: Final = "-poison"
_WHITE_SPACE = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """A message that this process has taken out of a queue, for a while."""

    id: str
    pop_receipt: str
    """What proves that it is ours; each change of its visibility brings a new one."""
    text: str
    """As it stands in the queue."""
    dequeue_count: int
    """How often it has been taken, this time included."""
    inserted_on: datetime
    expires_on: datetime
    visible_on: datetime

    def with_receipt(self, pop_receipt: str, visible_on: datetime) -> "QueueMessage":
        """Return the message as it is after its visibility was changed."""
        return replace(self, pop_receipt=pop_receipt, visible_on=visible_on)


def parse_queue_name(name: str) -> str:
    """Return the queue's name, in lower case as the real host takes it.

    Raises:
        ValueError: the queue service would refuse it.

    """
    lowered = name.lower()
    if not _QUEUE_NAME.fullmatch(lowered):
        raise ValueError(
            f"{name!r} is no queue's name: 3 to 63 letters, digits and single hyphens between them"
        )
    return lowered


def poison_queue_name(name: str) -> str | None:
    """Return the queue where this queue's messages end that fail too often.

    None if there is none: a poison queue has no other, and a name may be too long for the ending.
    """
    if name.endswith(_POISON) or not _QUEUE_NAME.fullmatch(name + _POISON):
        return None
    return name + _POISON


def decode_body(text: str, encoding: MessageEncoding) -> bytes:
    """Return the message's content.

    Raises:
        ValueError: the text is not in that encoding.

    """
    match encoding:
        case "none":
            return text.encode()
        case "base64":
            try:
                return base64.b64decode(text.translate(_WHITE_SPACE), validate=True)
            except binascii.Error as error:
                raise ValueError(str(error)) from error
        case _:
            assert_never(encoding)


def encode_body(body: bytes, encoding: MessageEncoding) -> str:
    """Return the text that stands for this content in a queue.

    Raises:
        ValueError: without an encoding, the content is not UTF-8.

    """
    match encoding:
        case "none":
            return body.decode()
        case "base64":
            return base64.b64encode(body).decode()
        case _:
            assert_never(encoding)


def output_bodies(kind: str | None, value: Any) -> list[bytes]:  # noqa: ANN401 - as the library has it
    """Return the messages that an output is, as the real host takes it apart.

    A text that is a JSON array becomes one message for each of its items, and a text that is a JSON
    object is written with other white space than the function gave it.

    Raises:
        ValueError: the function set something that this host does not know.

    """
    match kind:
        case "bytes":
            return [bytes(value)]
        case "string":
            return _text_bodies(value)
        case "json":
            items = json.loads(value)
            if isinstance(items, list) and all(isinstance(item, str) for item in items):
                return [item.encode() for item in items]
    raise ValueError("a queue output must be str, bytes or a list of str")


def _text_bodies(text: str) -> list[bytes]:
    stripped = text.strip()
    if stripped[:1] + stripped[-1:] not in {"{}", "[]"}:
        return [text.encode()]
    try:
        document = json.loads(stripped)
    except ValueError as error:
        # There the real host fails the invocation.
        raise ValueError(f"the text looks like JSON and is none ({error})") from error
    items = document if isinstance(document, list) else [document]
    return [
        (item if isinstance(item, str) else json.dumps(item, indent=2, ensure_ascii=False)).encode()
        for item in items
    ]
