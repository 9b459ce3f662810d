"""Requests and responses as bytes on the wire, between the HTTP server and the protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec


class WireRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. `path` is still percent-encoded; `query` excludes the `?`; header names are lower case.

    `body` is complete bytes, except for operations whose input payload is a streaming blob: those get the iterator.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | AsyncIterator[bytes] = b""


class WireResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP response. An iterator body is sent as it comes."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] = b""
