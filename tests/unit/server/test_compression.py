from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.server.asgi import BodyTooLarge
from lambent.server.compression import gunzip, is_gzipped
from lambent.server.protocol.faults import SerializationError


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_gzip_files_one_after_the_other(pieces: list[bytes]) -> None:
    packed = b"".join(map(gzip.compress, pieces))
    size = sum(map(len, pieces))
    assert gunzip(packed, size) == b"".join(pieces)
    if size:
        with pytest.raises(BodyTooLarge):
            gunzip(packed, size - 1)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(gzip.compress(bytes(100_000_000)))
    with pytest.raises(BodyTooLarge):
        gunzip(gzip.decompress(bomb), 1_000_000)


@pytest.mark.parametrize(
    "body",
    [b"plain", gzip.compress(b"cut off" * 100)[:-20], gzip.compress(b"x") + b"rest"],
    ids=["plain", "cut off", "trailing"],
)
def test_what_is_no_gzip(body: bytes) -> None:
    with pytest.raises(SerializationError):
        gunzip(body, 1000)


def test_what_is_said_to_be_gzip() -> None:
    assert is_gzipped({"content-encoding": "GZIP"})
    assert not is_gzipped({"content-encoding": "aws-chunked"})
    assert not is_gzipped({})
