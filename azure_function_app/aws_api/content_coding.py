"""Undoes a response's content coding (RFC 9110 section 8.4) within bounds of memory and work.

A few kilobytes can be coded so that gigabytes come out. So no more is taken out than there is room
for, and only one coding is undone: nobody needs two, and each would multiply the work.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

ACCEPT_ENCODING: Final = "gzip"
"""What a request says whose response is read here. `deflate` is understood, but not needed."""

_IDENTITY: Final = "identity"
# RFC 9110 section 8.4.1: x-gzip is gzip, and deflate is the zlib format (RFC 1950).
_WINDOW_BITS: Final = {
    "deflate": zlib.MAX_WBITS,
    "gzip": zlib.MAX_WBITS | 16,
    "x-gzip": zlib.MAX_WBITS | 16,
}
_SLICE_BYTES: Final = 65_536
"""What zlib gets at a time: it copies what it leaves over at the end of a member."""
_MAX_MEMBERS: Final = 256
"""Of a gzip body. Each costs as much to begin as kilobytes to read, and may hold nothing."""


class ContentCodingError(Exception):
    """The body is coded in a way that is not undone here, or not as its header says."""


class BodyTooLargeError(Exception):
    """The body is larger than it may be, coded or decoded."""


class BodyReader:
    """Takes a body's bytes as they come, and gives them back with their content coding undone.

    It holds no more than `max_bytes` of them, and one slice.
    """

    def __init__(self, content_encoding: Iterable[str], max_bytes: int) -> None:
        """Take the values of the Content-Encoding fields, and the bound on coded and decoded bytes.

        Raises:
            ContentCodingError: they name a coding that is not undone here, or more than one.

        """
        self._coding = _parse_coding(content_encoding)
        self._max_bytes = max_bytes
        self._content = bytearray()
        self._received = 0
        self._members = 0
        self._decompressor: zlib._Decompress | None = None

    def feed(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            BodyTooLargeError: they are too many, as they came or decoded.
            ContentCodingError: they are not coded as the header says.

        """
        self._received += len(piece)
        if self._received > self._max_bytes:
            raise BodyTooLargeError
        if self._coding == _IDENTITY:
            self._content += piece
        else:
            for part in _slices(piece):
                self._decompress(part)

    def finish(self) -> bytes:
        """Return the whole body.

        Raises:
            ContentCodingError: it broke off.

        """
        if self._decompressor is not None:
            raise ContentCodingError("the coded body breaks off")
        return bytes(self._content)

    def _decompress(self, part: bytes) -> None:
        while part:
            decompressor = self._decompressor or self._begin_member()
            room = self._max_bytes - len(self._content)
            try:
                # One byte more than there is room for shows that there are more.
                self._content += decompressor.decompress(part, room + 1)
            except zlib.error as error:
                raise ContentCodingError("the body is not coded as its header says") from error
            if len(self._content) > self._max_bytes:
                raise BodyTooLargeError
            if not decompressor.eof:
                return
            self._decompressor = None
            part = decompressor.unused_data

    def _begin_member(self) -> "zlib._Decompress":
        self._members += 1
        # RFC 1952 section 2.2 lets a gzip body have several members, RFC 1950 has no such thing.
        if self._members > (1 if self._coding == "deflate" else _MAX_MEMBERS):
            raise ContentCodingError("the coded body goes on behind its end")
        self._decompressor = zlib.decompressobj(_WINDOW_BITS[self._coding])
        return self._decompressor


def _parse_coding(content_encoding: Iterable[str]) -> str:
    # Every empty list element may be left out (RFC 9110 section 5.6.1), and identity says nothing.
    codings = [
        coding
        for value in content_encoding
        for item in value.split(",")
        if (coding := item.strip().lower()) not in {"", _IDENTITY}
    ]
    match codings:
        case []:
            return _IDENTITY
        case [coding] if coding in _WINDOW_BITS:
            return coding
        case _:
            raise ContentCodingError(f"only one of {', '.join(_WINDOW_BITS)} can be undone")


def _slices(piece: bytes) -> Iterator[bytes]:
    for start in range(0, len(piece), _SLICE_BYTES):
        yield piece[start : start + _SLICE_BYTES]
