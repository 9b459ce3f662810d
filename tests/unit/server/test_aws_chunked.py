"""The aws-chunked encoding, signed and unsigned."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import AsyncIterator, Iterator

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.errors import AwsError
from lambent.server.aws_chunked import ChunkedBody, ChunkSigning, Decoder

EMPTY = hashlib.sha256(b"").hexdigest()
SIGNING = {"key": b"k" * 32, "timestamp": "20261123T120000Z", "scope": "20261123/us-east-1/s3/aws4_request"}


def mac(text: str) -> str:
    return hmac.new(SIGNING["key"], text.encode(), "sha256").hexdigest()  # type: ignore[arg-type]


def signed_stream(chunks: list[bytes], trailers: dict[str, str] | None = None) -> bytes:
    """What an SDK sends, written from the description of the format, not with the code under test."""
    previous, out = "seed", b""
    for chunk in [*chunks, b""]:
        digest = hashlib.sha256(chunk).hexdigest()
        head = f"AWS4-HMAC-SHA256-PAYLOAD\n{SIGNING['timestamp']}\n{SIGNING['scope']}\n"
        previous = mac(f"{head}{previous}\n{EMPTY}\n{digest}")
        out += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    if trailers is not None:
        lines = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
        digest = hashlib.sha256(lines.encode()).hexdigest()
        head = f"AWS4-HMAC-SHA256-TRAILER\n{SIGNING['timestamp']}\n{SIGNING['scope']}\n"
        out += "".join(f"{name}:{value}\r\n" for name, value in trailers.items()).encode()
        signature = mac(f"{head}{previous}\n{digest}")
        out += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return out + b"\r\n"


def signing(*, trailer: bool = False) -> ChunkSigning:
    return ChunkSigning(**SIGNING, seed="seed", trailer=trailer)  # type: ignore[arg-type]


def decode(decoder: Decoder, pieces: Iterator[bytes] | list[bytes]) -> bytes:
    out = b"".join(data for piece in pieces for data in decoder.feed(piece))
    decoder.finish()
    return out


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    return [*pieces, data[start:]]


CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
SIZES = st.lists(st.integers(min_value=0, max_value=30), max_size=30)
TRAILERS = st.none() | st.dictionaries(st.sampled_from(["x-amz-checksum-crc32", "x-amz-meta"]), st.just("c2lnbmVk"))


@given(chunks=CHUNKS, sizes=SIZES, trailers=TRAILERS, verified=st.booleans())
def test_decodes_however_it_is_cut(
    chunks: list[bytes], sizes: list[int], trailers: dict[str, str] | None, verified: bool
) -> None:
    data = signed_stream(chunks, trailers)
    decoder = Decoder(
        signing=signing(trailer=trailers is not None) if verified else None, decoded_length=sum(map(len, chunks))
    )
    assert decode(decoder, cut(data, sizes)) == b"".join(chunks)
    assert decoder.trailers == (trailers or {})


@given(chunks=CHUNKS.filter(bool), position=st.integers(min_value=0), data=st.data())
def test_any_changed_byte_of_a_signed_stream_is_noticed(
    chunks: list[bytes], position: int, data: st.DataObject
) -> None:
    stream = bytearray(signed_stream(chunks, {"x-amz-checksum-crc32": "AAAAAA=="}))
    position %= len(stream)
    changed = data.draw(st.integers(min_value=0, max_value=255).filter(lambda byte: byte != stream[position]))
    # An upper case size digit, chunk-extension name or trailer name, and blanks around a value mean the same.
    same = {changed, stream[position]} in [{low, low - 32} for low in range(97, 123)] or changed in b" \t\r\n\x0b\x0c"
    stream[position] = changed
    if not same:
        with pytest.raises(AwsError):
            decode(Decoder(signing=signing(trailer=True)), [bytes(stream)])


@given(chunks=CHUNKS, end=st.integers(min_value=0))
def test_a_cut_stream_is_incomplete(chunks: list[bytes], end: int) -> None:
    stream = signed_stream(chunks)
    with pytest.raises(AwsError) as caught:
        decode(Decoder(), [stream[: end % len(stream)]])
    assert caught.value.code == "IncompleteBody"


def test_botocore_unsigned_with_checksum_trailer() -> None:
    wrapper = AwsChunkedWrapper(
        io.BytesIO(b"some data" * 100_000),
        checksum_cls=Crc32Checksum,
        checksum_name="x-amz-checksum-crc32",
        chunk_size=65536,
    )
    decoder = Decoder(decoded_length=900_000)
    assert decode(decoder, iter(lambda: wrapper.read(8192), b"")) == b"some data" * 100_000
    checksum = Crc32Checksum()
    checksum.update(b"some data" * 100_000)
    assert decoder.trailers == {"x-amz-checksum-crc32": checksum.b64digest()}


def test_aws_example() -> None:
    """The signatures of the S3 API reference's example upload (66,560 bytes of `a`)."""
    key = hmac.digest(b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", b"20130524", "sha256")
    for part in (b"us-east-1", b"s3", b"aws4_request"):
        key = hmac.digest(key, part, "sha256")
    example = ChunkSigning(
        key=key,
        timestamp="20130524T000000Z",
        scope="20130524/us-east-1/s3/aws4_request",
        seed="4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        trailer=False,
    )
    stream = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a" * 65536
        + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a" * 1024
        + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )
    assert decode(Decoder(signing=example, decoded_length=66560), [stream]) == b"a" * 66560


@pytest.mark.parametrize(
    "stream",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n0\r\n\r\n",
        b"\r\n",
        b"1_0\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"1" * 10_000,
        b"f" * 17 + b"\r\n",
        b"0\r\n\r\nmore",
        b"0\r\n" + b"n:v\r\n" * 17 + b"\r\n",
        b"0\r\n" + b"".join(b"n%d:v\r\n" % n for n in range(17)) + b"\r\n",
    ],
)
def test_broken_framing(stream: bytes) -> None:
    if stream.count(b"n:v") == 17:  # one name again and again is one trailer
        assert decode(Decoder(), [stream]) == b""
        return
    with pytest.raises(AwsError) as caught:
        decode(Decoder(), [stream])
    assert caught.value.code == "IncompleteBody"


@pytest.mark.parametrize("length", [2, 4])
def test_declared_length_must_hold(length: int) -> None:
    with pytest.raises(AwsError):
        decode(Decoder(decoded_length=length), [b"3\r\nabc\r\n0\r\n\r\n"])


async def test_as_an_async_iterator() -> None:
    async def wire() -> AsyncIterator[bytes]:
        yield b"3\r\nab"
        yield b"c\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n"

    body = ChunkedBody(wire(), Decoder())
    assert [piece async for piece in body] == [b"ab", b"c"]
    assert body.trailers == {"x-amz-checksum-crc32": "AA=="}
