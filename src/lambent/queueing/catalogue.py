"""The queues that the engine knows: rows, and what memory holds beside each."""

from __future__ import annotations

from lambent.queueing.model import QueueConfig, QueueExists, QueueGone
from lambent.queueing.numbers import Numbers
from lambent.queueing.state import QueueState, Tally
from lambent.storage.database import ConstraintViolated, Row, Transaction

_COLUMNS = "number, id, name, fifo, delay_ms, scope, shard"
_INSERT = (
    "INSERT INTO queueing_queues (number, id, name, fifo, retention_ms, delay_ms, scope, shard) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = "UPDATE queueing_queues SET retention_ms = ?, delay_ms = ?, scope = ? WHERE id = ?"
_DOOM = "INSERT OR IGNORE INTO queueing_doomed (shard) VALUES (?)"


class Catalogue:
    """All queues by their ids. A state is never wrong about another process's work: there is none."""

    def __init__(self) -> None:
        self._states: dict[str, QueueState] = {}

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(list(self._states.values()))

    def load(self, tx: Transaction, now_ms: int) -> None:
        """Find every queue and count its messages; doom messages that belong to none. Reads two indexes whole."""
        by_shard: dict[int, QueueState] = {}
        for row in tx.all(f"SELECT {_COLUMNS} FROM queueing_queues"):
            state = self._state(row)
            by_shard[state.shard] = state
        for shard, number in tx.all("SELECT shard, count(*) FROM queueing_messages GROUP BY shard"):
            state_there = by_shard.get(shard)
            if state_there is None:
                tx.execute(_DOOM, (shard,))
            else:
                state_there.depth.add(0, 0, number)
        later = tx.all(
            "SELECT shard, fresh, visible_ms, count(*) FROM queueing_messages WHERE visible_ms > ? "
            "GROUP BY shard, fresh, visible_ms",
            (now_ms - 900_000,),  # the longest delay: a FIFO queue's comes on top of its messages' times
        )
        for shard, fresh, visible_ms, number in later:
            state_there = by_shard.get(shard)
            if state_there is not None:
                state_there.depth.add(0, 0, -number)
                state_there.depth.add(visible_ms, fresh, number)
        for (shard,) in tx.all("SELECT DISTINCT shard FROM queueing_lanes"):
            if shard in by_shard:
                by_shard[shard].grouped = True

    def require(self, queue_id: str) -> QueueState:
        """Raises QueueGone."""
        state = self._states.get(queue_id)
        if state is None or state.gone:
            raise QueueGone(queue_id)
        return state

    def named(self, tx: Transaction, name: str) -> QueueState | None:
        row = tx.one(f"SELECT {_COLUMNS} FROM queueing_queues WHERE name = ?", (name,))
        return None if row is None else self._state(row)

    def create(self, tx: Transaction, config: QueueConfig, numbers: Numbers, tally: Tally) -> QueueState:
        """Raises QueueExists."""
        number = numbers.take(tx, 2, tally)
        try:
            tx.execute(
                _INSERT,
                (
                    number, config.id, config.name, int(config.fifo), config.retention_s * 1000,
                    config.delay_s * 1000, config.deduplication_scope, number + 1,
                ),
            )  # fmt: skip
        except ConstraintViolated as error:
            raise QueueExists(config.name) from error
        self._states.pop(config.id, None)
        row = tx.one(f"SELECT {_COLUMNS} FROM queueing_queues WHERE id = ?", (config.id,))
        assert row is not None
        return self._state(row)

    def configure(self, tx: Transaction, config: QueueConfig) -> None:
        """Raises QueueGone."""
        row = (config.retention_s * 1000, config.delay_s * 1000, config.deduplication_scope, config.id)
        if not tx.execute(_UPDATE, row):
            raise QueueGone(config.id)

    def delete(self, tx: Transaction, queue_id: str) -> None:
        """Raises QueueGone."""
        row = tx.one("SELECT shard FROM queueing_queues WHERE id = ?", (queue_id,))
        if row is None:
            raise QueueGone(queue_id)
        tx.execute(_DOOM, (row[0],))
        tx.execute("DELETE FROM queueing_queues WHERE id = ?", (queue_id,))

    def forget(self, queue_id: str) -> QueueState | None:
        state = self._states.pop(queue_id, None)
        if state is not None:
            state.gone = True
        return state

    def _state(self, row: Row) -> QueueState:
        state = self._states.get(row["id"])
        if state is None:
            state = self._states[row["id"]] = QueueState(
                number=row["number"],
                queue_id=row["id"],
                name=row["name"],
                fifo=bool(row["fifo"]),
                delay_ms=row["delay_ms"] if row["fifo"] else 0,
                scope=row["scope"],
                shard=row["shard"],
            )
        return state


def new_shard(tx: Transaction, queue: QueueState, shard: int) -> None:
    """Doom the queue's messages and go on with an empty shard."""
    tx.execute(_DOOM, (queue.shard,))
    tx.execute("UPDATE queueing_queues SET shard = ? WHERE number = ?", (shard, queue.number))
