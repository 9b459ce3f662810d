"""The `aws-chunked` content encoding: signed or unsigned chunks inside the HTTP body, with trailers.

    hex-size[;chunk-signature=<64 hex>] CRLF data CRLF ... 0[;chunk-signature=...] CRLF
    [name:value CRLF]... [x-amz-trailer-signature:<64 hex> CRLF] CRLF

Data is handed on as it comes. A signature is known to be wrong only at the end of its chunk, so whoever reads
must treat what it has read as unverified until the iterator ends without an error.

Follows the S3 API reference, "Signature calculations ... transferring payload in multiple chunks" and
"... including trailing headers".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from lambent.server import auth_errors, canonical

MAX_LINE_BYTES = 8192
MAX_TRAILERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSigning:
    """What chunk signatures are made with; `seed` is the signature of the request's head."""

    key: bytes
    timestamp: str
    scope: str
    seed: str
    trailer: bool  # whether a signed trailer must follow


class Decoder:
    """Takes framed bytes apart, without I/O. `signing` None leaves signatures unread (any credentials are accepted).

    Raises S3IncompleteBody when the framing or `decoded_length` does not hold, S3SignatureDoesNotMatch for a wrong
    signature.
    """

    def __init__(self, *, signing: ChunkSigning | None = None, decoded_length: int | None = None) -> None:
        self._signing = signing
        self._previous = signing.seed if signing is not None else ""
        self._expected_bytes = decoded_length
        self._decoded_bytes = 0
        self._buffer = bytearray()
        self._state = self._size_line
        self._left = 0  # bytes of the current chunk that have not come yet
        self._signature = ""
        self._hash = hashlib.sha256()
        self.trailers: dict[str, str] = {}
        self.done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payload that is in `data`, piece by piece."""
        self._buffer += data
        while self._buffer and not self.done:
            if self._left:
                piece = bytes(self._buffer[: self._left])
                del self._buffer[: len(piece)]
                self._left -= len(piece)
                if self._signing is not None:
                    self._hash.update(piece)
                yield piece
            else:
                line = self._line()
                if line is None:
                    return
                self._state(line)
        if self.done and self._buffer:
            raise auth_errors.S3IncompleteBody

    def finish(self) -> None:
        """Raise unless the body was complete."""
        if not self.done:
            raise auth_errors.S3IncompleteBody

    def _line(self) -> str | None:
        end = self._buffer.find(b"\r\n")
        if end < 0 or end > MAX_LINE_BYTES:
            if len(self._buffer) > MAX_LINE_BYTES:
                raise auth_errors.S3IncompleteBody
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line

    def _size_line(self, line: str) -> None:
        size, _, extension = line.partition(";")
        if not size or len(size) > 16 or not set(size) <= _HEX:
            raise auth_errors.S3IncompleteBody
        self._left = int(size, 16)
        self._decoded_bytes += self._left
        if self._expected_bytes is not None and self._decoded_bytes > self._expected_bytes:
            raise auth_errors.S3IncompleteBody
        self._signature = extension.partition("chunk-signature=")[2].strip()
        self._hash = hashlib.sha256()
        if self._left:
            self._state = self._chunk_end
        else:
            self._check_chunk()
            self._state = self._trailer_line

    def _chunk_end(self, line: str) -> None:
        if line:
            raise auth_errors.S3IncompleteBody
        self._check_chunk()
        self._state = self._size_line

    def _check_chunk(self) -> None:
        if self._signing is not None:
            self._check(
                f"{canonical.ALGORITHM}-PAYLOAD",
                f"{canonical.EMPTY_SHA256}\n{self._hash.hexdigest()}",
                self._signature,
            )

    def _check(self, algorithm: str, hashes: str, given: str) -> None:
        signing = self._signing
        assert signing is not None
        text = f"{algorithm}\n{signing.timestamp}\n{signing.scope}\n{self._previous}\n{hashes}"
        self._previous = canonical.sign(signing.key, text)
        if not hmac.compare_digest(self._previous.encode(), given.encode()):
            raise auth_errors.S3SignatureDoesNotMatch

    def _trailer_line(self, line: str) -> None:
        if line:
            name, colon, value = line.partition(":")
            if not colon or len(self.trailers) >= MAX_TRAILERS:
                raise auth_errors.S3IncompleteBody
            self.trailers[name.strip().lower()] = value.strip()
            return
        signature = self.trailers.pop("x-amz-trailer-signature", "")
        if self._signing is not None and self._signing.trailer:
            text = "".join([f"{name}:{value}\n" for name, value in sorted(self.trailers.items())])
            self._check(f"{canonical.ALGORITHM}-TRAILER", hashlib.sha256(text.encode("latin-1")).hexdigest(), signature)
        if self._expected_bytes is not None and self._decoded_bytes != self._expected_bytes:
            raise auth_errors.S3IncompleteBody
        self.done = True


class ChunkedBody:
    """An async iterator over a framed body's payload; `trailers` is complete once it has ended."""

    def __init__(self, body: AsyncIterator[bytes], decoder: Decoder) -> None:
        self._decoder = decoder
        self._pieces = self._decode(body)

    @property
    def trailers(self) -> dict[str, str]:
        """Trailing headers by lower case name, without the trailer's signature."""
        return self._decoder.trailers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def _decode(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for data in body:
            for piece in self._decoder.feed(data):
                yield piece
        self._decoder.finish()


_HEX = frozenset("0123456789abcdefABCDEF")
