"""Request bodies that come gzipped: where the service model says that an operation takes them, and the query protocol's
forms, whose operation is known only once they are read. Never S3's: there the encoding belongs to the object."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

from lambent.server.asgi import BodyTooLarge
from lambent.server.protocol.faults import SerializationError

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


def is_gzipped(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "").strip().lower() == "gzip"


def gunzip(body: bytes, limit_bytes: int) -> bytes:
    """The body unpacked. Raises BodyTooLarge beyond `limit_bytes`, with no more than that in memory, and
    SerializationException for what is no gzip."""
    unpacked: list[bytes] = []
    size_bytes = 0
    try:
        while body:  # gzip files may follow one another
            member = zlib.decompressobj(_GZIP_WINDOW)
            piece = member.decompress(body, limit_bytes - size_bytes + 1)
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                raise BodyTooLarge
            if not member.eof:
                raise SerializationError("the gzipped body ends too early")
            unpacked.append(piece)
            body = member.unused_data
    except zlib.error:
        raise SerializationError("the body is not gzip, which its Content-Encoding says it is") from None
    return b"".join(unpacked)
