"""Undoing content codings, and bodies that are made to cost more than they are worth."""

import gzip
import random
import tracemalloc
import zlib

import pytest

from azure_function_app.aws_api.content_coding import (
    BodyReader,
    BodyTooLargeError,
    ContentCodingError,
)
from tests.support.work import growth_of

TEXT = bytes(range(256)) * 40
MEBIBYTE = 1024 * 1024


def read(
    body: bytes, *content_encoding: str, max_bytes: int = MEBIBYTE, piece: int = 10_000_000
) -> bytes:
    """The body that comes out, where it comes in pieces of that size."""
    reader = BodyReader(content_encoding, max_bytes)
    for start in range(0, len(body), piece):
        reader.feed(body[start : start + piece])
    return reader.finish()


@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
@pytest.mark.parametrize(
    ("content_encoding", "body"),
    [
        ((), TEXT),
        (("identity",), TEXT),
        (("gzip",), gzip.compress(TEXT)),
        (("GZip",), gzip.compress(TEXT)),
        ((" x-gzip , identity,, ",), gzip.compress(TEXT)),
        (("identity", "gzip"), gzip.compress(TEXT)),
        (("gzip",), gzip.compress(TEXT[:100]) + gzip.compress(b"") + gzip.compress(TEXT[100:])),
        (("deflate",), zlib.compress(TEXT)),
    ],
)
def test_when_a_body_is_coded_as_its_header_says_then_it_comes_out(
    content_encoding: tuple[str, ...], body: bytes, piece: int
) -> None:
    """However its pieces are cut, with one member or several."""
    assert TEXT == read(body, *content_encoding, piece=piece)


@pytest.mark.parametrize("content_encoding", ["gzip", "deflate", "identity", ""])
def test_when_there_is_no_body_then_none_comes_out(content_encoding: str) -> None:
    """An answer without a body may name a coding all the same."""
    assert b"" == read(b"", content_encoding)


@pytest.mark.parametrize(
    "content_encoding",
    [
        ("gzip, gzip",),
        ("gzip", "gzip"),
        ("gzip, gzip, gzip",),
        ("deflate, gzip",),
        ("br",),
        ("zstd",),
        ("compress",),
        ("gzip;q=1",),
        ("gz ip",),
        ("gzip" + ", gzip" * 1000,),
    ],
)
def test_when_a_coding_is_unknown_or_not_the_only_one_then_it_is_refused(
    content_encoding: tuple[str, ...],
) -> None:
    """Before a byte of the body is read."""
    with pytest.raises(ContentCodingError):
        BodyReader(content_encoding, MEBIBYTE)


@pytest.mark.parametrize(
    ("content_encoding", "body"),
    [
        ("gzip", TEXT),
        ("gzip", zlib.compress(TEXT)),
        ("deflate", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT)[:-1]),
        ("gzip", gzip.compress(TEXT)[:-8]),
        ("gzip", gzip.compress(TEXT)[:3]),
        ("gzip", gzip.compress(TEXT) + b"x"),
        ("gzip", gzip.compress(TEXT) + gzip.compress(TEXT)[:5]),
        ("gzip", gzip.compress(TEXT)[:-8] + bytes(8)),
        ("gzip", gzip.compress(b"") * 257),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", zlib.compress(TEXT) + b"x"),
        ("deflate", zlib.compress(TEXT) * 2),
    ],
)
@pytest.mark.parametrize("piece", [1, 1_000_000])
def test_when_a_body_is_not_coded_as_it_says_then_nothing_comes_out(
    content_encoding: str, body: bytes, piece: int
) -> None:
    """Of another coding, broken off, with a wrong checksum, or with more behind its end."""
    with pytest.raises(ContentCodingError):
        read(body, content_encoding, piece=piece)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
@pytest.mark.parametrize("piece", [1_000, 10_000_000])
def test_when_a_body_is_exactly_as_large_as_it_may_be_then_it_is_taken(
    coding: str, piece: int
) -> None:
    """One byte more is too much, however small it came."""

    def compress(body: bytes) -> bytes:
        coded = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "identity": body}
        return coded[coding]

    assert bytes(MEBIBYTE) == read(compress(bytes(MEBIBYTE)), coding, piece=piece)
    with pytest.raises(BodyTooLargeError):
        read(compress(bytes(MEBIBYTE + 1)), coding, piece=piece)


def test_when_coded_bytes_hold_nothing_then_they_are_counted_as_they_came() -> None:
    """Empty blocks of deflate are five bytes each, and could go on for ever."""
    empty_block = b"\x00\x00\x00\xff\xff"
    body = gzip.compress(b"")[:10] + empty_block * (MEBIBYTE // 5 + 1)

    with pytest.raises(BodyTooLargeError):
        read(body, "gzip")


def test_when_a_body_is_a_bomb_then_no_more_is_taken_out_than_there_is_room_for() -> None:
    """Forty megabytes out of forty kilobytes, which come at once."""
    body = gzip.compress(bytes(40 * MEBIBYTE))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            read(body, "gzip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * MEBIBYTE


def _tiny_members(size: int) -> bytes:
    return gzip.compress(b"") * (size // 20)


def _noise(size: int) -> bytes:
    return gzip.compress(random.Random(1).randbytes(size))  # noqa: S311 - guards nothing


def _blocks(size: int) -> bytes:
    return gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * (size // 5)


@pytest.mark.parametrize("hostile", [_tiny_members, _noise, _blocks])
@pytest.mark.parametrize("piece", [100, 10_000_000])
def test_when_a_body_grows_then_the_work_grows_no_faster(hostile: object, piece: int) -> None:
    """Members, blocks and plain noise, in small pieces and in one."""
    growth = growth_of(
        lambda body: read(body, "gzip", piece=piece),
        hostile,  # type: ignore[arg-type] # one of the three above
        size=100_000,
        refusals=(ContentCodingError, BodyTooLargeError),
    )

    assert growth.factor < 8
