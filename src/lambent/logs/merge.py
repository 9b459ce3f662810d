"""Reading the events of a group or stream in the order of time, forwards or backwards, from any position.

Chunks overlap: those of two streams always, those of one stream where its writer was out of order. Chunks are taken in
the order in which they begin (backwards: end), so whatever is still unread begins no earlier than the last that was
read; everything before that is complete and can be given out in order.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from lambent.logs import store
from lambent.logs.model import LogRecord, unpack
from lambent.storage.database import Database, Transaction

# One read holds the event loop while it runs: at most 8 chunks of 64 KB, or 512 that are looked at and passed over.
_CHUNKS_PER_READ: Final = 8
_HEADS_PER_READ: Final = 512


class Position(NamedTuple):
    """The place of an event in the one order that all events of a group have."""

    timestamp_ms: int
    stream_id: int
    sequence: int


BEFORE_ALL: Final = Position(-1, -1, -1)
AFTER_ALL: Final = Position(10**17, 10**17, 10**17)


class Batch(NamedTuple):
    """Events in order. Everything up to `up_to` was looked at; `looked_at` counts chunks since the start."""

    records: list[LogRecord]
    up_to: Position
    looked_at: int


class Selection(NamedTuple):
    """Which events: those of one stream, or of all streams of a group whose name `wanted` accepts, strictly between
    the positions `after` and `before`, whose message `matches` accepts (by anything but None)."""

    group_id: int
    stream_id: int  # 0: all streams
    after: Position
    before: Position
    wanted: Callable[[str], bool] | None = None
    matches: Callable[[str], object] | None = None


def position(record: LogRecord) -> Position:
    return Position(record.timestamp_ms, record.stream_id, record.sequence)


# An event on its way: its place in the order, what it says, and its chunk. No two have the same place, so that lists of
# them sort without looking further; most never become a record.
_Event = tuple[int, int, int, str, store.StoredChunk]


async def read(database: Database, selection: Selection, *, forward: bool) -> AsyncIterator[Batch]:
    """All selected events in order, backwards if not `forward`; others get their turn after every chunk.

    Raises StorageError.
    """
    pending: list[_Event] = []
    cursor: tuple[int, int] | None = None
    looked_at = 0
    while True:
        step = await database.read(_Step(selection, cursor, forward))
        looked_at += step.looked_at
        for chunk in step.chunks:
            pending += _selected(chunk, selection)
            await asyncio.sleep(0)  # noqa: TID251 - gives way, waits for nothing
        pending.sort(reverse=not forward)
        cursor = step.cursor
        if cursor is None:
            yield Batch([_record(event) for event in pending], AFTER_ALL if forward else BEFORE_ALL, looked_at)
            return
        bound_ms = cursor[0]
        if forward:
            ready = bisect_left(pending, bound_ms, key=_timestamp_ms)
            up_to = max(selection.after, Position(bound_ms, -1, -1))
        else:
            ready = bisect_left(pending, -bound_ms, key=_minus_timestamp_ms)
            up_to = min(selection.before, Position(bound_ms + 1, -1, -1))
        yield Batch([_record(event) for event in pending[:ready]], up_to, looked_at)
        del pending[:ready]
        if not step.chunks:
            await asyncio.sleep(0)  # noqa: TID251 - gives way, waits for nothing


def _selected(chunk: store.StoredChunk, selection: Selection) -> list[_Event]:
    after, before, matches = selection.after, selection.before, selection.matches
    stream_id = chunk.stream_id
    events = [
        (timestamp_ms, stream_id, sequence, message, chunk)
        for sequence, (timestamp_ms, message) in enumerate(unpack(chunk.body), chunk.first_sequence)
        if matches is None or matches(message) is not None
    ]
    if after.timestamp_ms < chunk.first_ms and chunk.last_ms < before.timestamp_ms:
        return events
    return [event for event in events if after < event[:3] < before]


def _record(event: _Event) -> LogRecord:
    timestamp_ms, stream_id, sequence, message, chunk = event
    return LogRecord(
        stream=chunk.stream,
        stream_id=stream_id,
        timestamp_ms=timestamp_ms,
        ingested_ms=chunk.ingested_ms,
        sequence=sequence,
        message=message,
    )


def _timestamp_ms(event: _Event) -> int:
    return event[0]


def _minus_timestamp_ms(event: _Event) -> int:
    return -event[0]


class _Chunks(NamedTuple):
    chunks: list[store.StoredChunk]
    cursor: tuple[int, int] | None  # None at the end
    looked_at: int


class _Step:
    """The unit that reads the next chunks beyond `cursor` (their begin or end, and id)."""

    def __init__(self, selection: Selection, cursor: tuple[int, int] | None, forward: bool) -> None:
        self._selection, self._cursor, self._forward = selection, cursor, forward

    def __call__(self, tx: Transaction) -> _Chunks:
        selection = self._selection
        heads = store.heads(
            tx,
            group_id=selection.group_id,
            stream_id=selection.stream_id,
            since_ms=selection.after.timestamp_ms,
            until_ms=selection.before.timestamp_ms,
            beyond=self._cursor,
            forward=self._forward,
            limit=_HEADS_PER_READ,
        )
        chosen: list[int] = []
        looked_at = 0
        for head in heads:
            looked_at += 1
            if selection.wanted is None or selection.wanted(head.stream):
                chosen.append(head.id)
                if len(chosen) == _CHUNKS_PER_READ:
                    break
        ended = looked_at == len(heads) < _HEADS_PER_READ
        cursor = None if ended else (heads[looked_at - 1].at_ms, heads[looked_at - 1].id)
        return _Chunks(store.read_chunks(tx, chosen) if chosen else [], cursor, looked_at)
