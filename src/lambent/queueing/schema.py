"""The engine's tables.

What a receive changes is narrow and apart from the bodies, so it costs the same whatever a message's size. A message
is in a *shard*: a queue's number of messages between two purges, so that purging and deleting are one small write
and the removal goes on in the background. Its *lane* is its message group (0: none). Two orders are indexed:

- (shard, seq), the primary key: the order of arrival, for retention and age.
- (shard, lane, rank_ms, seq): who is next. `rank_ms` is the time from which a message of a standard queue is visible;
  in FIFO queues it is 0, and arrival alone decides.

`open_ms` of a lane is its first message's `visible_ms`: nothing of the lane can be received before. `fresh` are those
that nobody has received yet: a FIFO queue's delay is added to their `visible_ms` when they are looked for, since it may
change while they wait. Retention counts from `sent_ms`, in FIFO queues from `came_ms`, when the message came into this
queue: a difference only for dead letters.
"""

from __future__ import annotations

from typing import Final

from lambent.storage.migrations import Migration

MIGRATIONS: Final = (
    Migration(
        room="queueing",
        version=1,
        statements=(
            """CREATE TABLE queueing_meta (
                one INTEGER PRIMARY KEY CHECK (one = 1),
                next_seq INTEGER NOT NULL,
                handle_key BLOB NOT NULL
            )""",
            """CREATE TABLE queueing_queues (
                number INTEGER PRIMARY KEY,
                id TEXT NOT NULL UNIQUE,
                name TEXT NOT NULL UNIQUE,
                fifo INTEGER NOT NULL,
                retention_ms INTEGER NOT NULL,
                delay_ms INTEGER NOT NULL,
                scope TEXT NOT NULL,
                shard INTEGER NOT NULL UNIQUE
            )""",
            "CREATE TABLE queueing_doomed (shard INTEGER PRIMARY KEY)",
            """CREATE TABLE queueing_messages (
                shard INTEGER NOT NULL,
                seq INTEGER NOT NULL,
                lane INTEGER NOT NULL,
                rank_ms INTEGER NOT NULL,
                visible_ms INTEGER NOT NULL,
                fresh INTEGER NOT NULL,
                receives INTEGER NOT NULL,
                came_ms INTEGER NOT NULL,
                sent_ms INTEGER NOT NULL,
                first_ms INTEGER,
                body INTEGER NOT NULL,
                source TEXT,
                PRIMARY KEY (shard, seq)
            ) WITHOUT ROWID""",
            "CREATE INDEX queueing_ready ON queueing_messages (shard, lane, rank_ms, seq)",
            # Only dead letters were sent before they came.
            "CREATE INDEX queueing_dead ON queueing_messages (shard, sent_ms) WHERE source IS NOT NULL",
            """CREATE TABLE queueing_bodies (
                id INTEGER PRIMARY KEY,
                message_id TEXT NOT NULL,
                group_id TEXT,
                deduplication_id TEXT,
                head BLOB NOT NULL,
                body BLOB,
                file TEXT
            )""",
            "CREATE INDEX queueing_files ON queueing_bodies (file) WHERE file IS NOT NULL",
            """CREATE TABLE queueing_lanes (
                id INTEGER PRIMARY KEY,
                shard INTEGER NOT NULL,
                name TEXT NOT NULL,
                fresh INTEGER NOT NULL,
                open_ms INTEGER NOT NULL,
                UNIQUE (shard, name)
            )""",
            "CREATE INDEX queueing_open ON queueing_lanes (shard, fresh, open_ms, id)",
            """CREATE TABLE queueing_deduplication (
                seq INTEGER PRIMARY KEY,
                queue INTEGER NOT NULL,
                deduplication_id TEXT NOT NULL,
                scope TEXT NOT NULL,
                message_id TEXT NOT NULL,
                at_ms INTEGER NOT NULL,
                UNIQUE (queue, deduplication_id, scope)
            )""",
            """CREATE TABLE queueing_attempts (
                seq INTEGER PRIMARY KEY,
                queue INTEGER NOT NULL,
                attempt_id TEXT NOT NULL,
                at_ms INTEGER NOT NULL,
                received_ms INTEGER NOT NULL,
                until_ms INTEGER NOT NULL,
                deliveries TEXT NOT NULL,
                UNIQUE (queue, attempt_id)
            )""",
        ),
    ),
)
