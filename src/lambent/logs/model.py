"""What logs are: groups hold streams, streams hold events. Events are kept in chunks.

A chunk is a run of events of one stream that were written together. Functions write a few short lines per event at
thousands of events a second; one row with two index entries for each line would cost more than the invokes do, one for
each chunk costs next to nothing. A chunk is small in bytes, and short in time where its events say otherwise, so that
reading any span of time touches few chunks in vain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lambent.core.limits import KIB
from lambent.core.log_events import LogEvent
from lambent.core.operations import Scope

CHUNK_BYTES: Final = 64 * KIB
CHUNK_SPAN_MS: Final = 60_000
# CloudWatch Logs API reference, "PutLogEvents": what an event counts beside its message.
EVENT_OVERHEAD_BYTES: Final = 26


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stored event. `sequence` counts the events of its stream; `ingested_ms` is when it was stored.

    `stream_id` is never given out again, also when a stream of the same name is made anew.
    """

    stream: str
    stream_id: int
    timestamp_ms: int
    ingested_ms: int
    sequence: int
    message: str


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one stream, packed. `size_bytes` is what AWS would count, `body` the packed (time, message) pairs."""

    scope: Scope
    group: str
    stream: str
    first_ms: int
    last_ms: int
    events: int
    size_bytes: int
    body: bytes


def pack(scope: Scope, group: str, stream: str, events: Sequence[LogEvent]) -> Iterator[Chunk]:
    """Cut `events` into chunks, in the order in which they came."""
    start = size_bytes = 0
    first_ms = last_ms = events[0].timestamp_ms
    for position, event in enumerate(events):
        event_bytes = len(event.message.encode("utf-8", "replace")) + EVENT_OVERHEAD_BYTES
        timestamp_ms = event.timestamp_ms
        earliest, latest = min(first_ms, timestamp_ms), max(last_ms, timestamp_ms)
        if position > start and (size_bytes + event_bytes > CHUNK_BYTES or latest - earliest > CHUNK_SPAN_MS):
            yield _chunk(scope, group, stream, events[start:position], first_ms, last_ms, size_bytes)
            start, size_bytes, earliest, latest = position, 0, timestamp_ms, timestamp_ms
        first_ms, last_ms = earliest, latest
        size_bytes += event_bytes
    yield _chunk(scope, group, stream, events[start:], first_ms, last_ms, size_bytes)


def unpack(body: bytes) -> list[tuple[int, str]]:
    """The (timestamp in ms, message) pairs of a chunk."""
    return _DECODER.decode(body)


def _chunk(
    scope: Scope, group: str, stream: str, events: Sequence[LogEvent], first_ms: int, last_ms: int, size_bytes: int
) -> Chunk:
    pairs = [(event.timestamp_ms, event.message) for event in events]
    try:
        body = msgspec.msgpack.encode(pairs)
    except UnicodeEncodeError:  # lone surrogates are no text: they come out as "?"
        body = msgspec.msgpack.encode([(at, text.encode("utf-8", "replace").decode()) for at, text in pairs])
    return Chunk(
        scope=scope,
        group=group,
        stream=stream,
        first_ms=first_ms,
        last_ms=last_ms,
        events=len(pairs),
        size_bytes=size_bytes,
        body=body,
    )


_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[int, str]])
