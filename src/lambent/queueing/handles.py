"""Receipt handles: which delivery of which message, signed so that nobody makes one up."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from typing import Final, NamedTuple

_FIELDS: Final = struct.Struct(">BIQIQ")
_VERSION: Final = 1
_SIGNATURE_BYTES: Final = 8


class Handle(NamedTuple):
    """One delivery. `queue` is the queue's number, `receives` the message's count with this delivery."""

    queue: int
    seq: int
    receives: int
    received_ms: int


class Handles:
    """Writes and reads handles. The alphabet is base64's own, so there is no hyphen in them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, queue: int, seq: int, receives: int, received_ms: int) -> str:
        fields = _FIELDS.pack(_VERSION, queue, seq, receives, received_ms)
        return base64.b64encode(fields + self._signature(fields)).decode("ascii")

    def read(self, text: str, queue: int) -> Handle | None:
        """None for what is no handle, or another queue's."""
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(raw) != _FIELDS.size + _SIGNATURE_BYTES:
            return None
        fields, signature = raw[: _FIELDS.size], raw[_FIELDS.size :]
        version, number, seq, receives, received_ms = _FIELDS.unpack(fields)
        if version != _VERSION or number != queue or not hmac.compare_digest(signature, self._signature(fields)):
            return None
        return Handle(number, seq, receives, received_ms)

    def _signature(self, fields: bytes) -> bytes:
        return hashlib.blake2b(fields, digest_size=_SIGNATURE_BYTES, key=self._key).digest()
