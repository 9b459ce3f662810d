"""The engine against a plain model in memory, on virtual time: whatever hypothesis does, both say the same."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lambent.queueing.model import DeadLetters, NewMessage, Outcome, QueueConfig, Received
from lambent.storage.database import StorageError

from .conftest import Bench

RETENTION_S = 200
TIMEOUT_S = 5
MAX_RECEIVES = 2
MAX_IN_FLIGHT = 12


@dataclass(slots=True)
class Msg:
    """A message as the model knows it. Times in milliseconds."""

    id: str
    body: bytes
    order: int
    group: str | None
    kept_ms: int
    sent_ms: int
    visible_ms: int
    fresh: bool = True
    receives: int = 0
    first_ms: int | None = None
    handle: tuple[str, int] | None = None  # the last, and when it was given out


class Model:
    """One queue: the messages in the order in which they came."""

    def __init__(self, *, fifo: bool, delay_s: int) -> None:
        self.fifo = fifo
        self.delay_ms = delay_s * 1000
        self.messages: list[Msg] = []
        self.seen: dict[str, tuple[str, int]] = {}

    def expire(self, now_ms: int) -> None:
        self.messages = [each for each in self.messages if each.kept_ms >= now_ms - RETENTION_S * 1000]

    def due_ms(self, message: Msg) -> int:
        return message.visible_ms + (self.delay_ms if self.fifo and message.fresh else 0)

    def counts(self, now_ms: int) -> tuple[int, int, int]:
        self.expire(now_ms)
        hidden = [each for each in self.messages if self.due_ms(each) > now_ms]
        fresh = sum(each.fresh for each in hidden)
        return len(self.messages) - len(hidden), len(hidden) - fresh, fresh

    def receivable(self, now_ms: int) -> list[Msg]:
        """Everything that may be given out now; in FIFO queues whatever stands before a group's first in flight."""
        self.expire(now_ms)
        closed: set[str | None] = set()
        found = []
        for message in self.messages:
            if self.due_ms(message) > now_ms:
                if self.fifo:
                    closed.add(message.group)
            elif not self.fifo or message.group not in closed:
                found.append(message)
        return found

    def find(self, message_id: str) -> Msg | None:
        return next((each for each in self.messages if each.id == message_id), None)


class Machine(RuleBasedStateMachine):
    fifo = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.bench: Bench = self.loop.run_until_complete(self._open())
        self.orders = 0
        self.handles: list[tuple[str, Received, int]] = []  # queue id, delivery, when

    async def _open(self) -> Bench:
        return await Bench(Path(self.folder.name)).open(file_bytes=20)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.bench.close())
        self.loop.close()
        self.folder.cleanup()

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    @property
    def now_ms(self) -> int:
        return round(self.bench.clock.now() * 1000)

    @initialize(delay_s=st.sampled_from([0, 0, 3]))
    def create(self, delay_s: int) -> None:
        dead = self.run(self.bench.create("dead", fifo=self.fifo, retention_s=RETENTION_S))
        live = self.run(
            self.bench.create(
                "live", fifo=self.fifo, retention_s=RETENTION_S, delay_s=delay_s, visibility_timeout_s=TIMEOUT_S,
                dead_letters=DeadLetters(target=dead.name, max_receives=MAX_RECEIVES), max_in_flight=MAX_IN_FLIGHT,
            )
        )  # fmt: skip
        self.configs: dict[str, QueueConfig] = {"live": live, "dead": dead}
        self.models = {"live": Model(fifo=self.fifo, delay_s=delay_s), "dead": Model(fifo=self.fifo, delay_s=0)}

    @rule(
        batch=st.lists(
            st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 40), st.sampled_from([None, 0, 2, 9])),
            min_size=1,
            max_size=6,
        )
    )
    def send(self, batch: list[tuple[str | None, int, int | None]]) -> None:
        model, now_ms = self.models["live"], self.now_ms
        messages = [
            NewMessage(
                body=str(size).encode() * size,
                group=group or ("a" if self.fifo else None),
                deduplication_id=f"d{size}" if self.fifo else None,
                delay_s=None if self.fifo else delay_s,
            )
            for group, size, delay_s in batch
        ]
        sent = self.run(self.bench.engine.send(self.configs["live"], messages))
        for message, result in zip(messages, sent, strict=True):
            if self.fifo:
                assert message.deduplication_id is not None
                before = model.seen.get(message.deduplication_id)
                if before is not None and now_ms - before[1] < 300_000:
                    assert (result.message_id, result.duplicate) == (before[0], True)
                    continue
                model.seen[message.deduplication_id] = (result.message_id, now_ms)
            assert not result.duplicate
            delay_ms = 0 if self.fifo else model.delay_ms if message.delay_s is None else message.delay_s * 1000
            self._add(model, Msg(result.message_id, message.body, 0, message.group, now_ms, now_ms, now_ms + delay_ms))

    def _add(self, model: Model, message: Msg) -> None:
        self.orders += 1
        message.order = self.orders
        model.messages.append(message)

    @rule(name=st.sampled_from(["live", "live", "dead"]), limit=st.integers(1, 10),
          timeout_s=st.sampled_from([None, None, 0, 1, 60]))  # fmt: skip
    def receive(self, name: str, limit: int, timeout_s: int | None) -> None:
        model, config, now_ms = self.models[name], self.configs[name], self.now_ms
        room = config.max_in_flight - model.counts(now_ms)[1]
        before = model.receivable(now_ms)
        if room <= 0 and not self.fifo and model.counts(now_ms)[0]:
            with pytest.raises(Exception, match="live"):
                self.run(self.bench.engine.receive(config, limit=limit, visibility_timeout_s=timeout_s))
            return
        got = self.run(self.bench.engine.receive(config, limit=limit, visibility_timeout_s=timeout_s))
        limit = max(0, min(limit, room))
        dead = [each for each in before if name == "live" and each.receives >= MAX_RECEIVES]
        alive = [each for each in before if each not in dead]
        taken = [model.find(each.message_id) for each in got]
        assert None not in taken
        assert len({each.message_id for each in got}) == len(got)
        assert all(each in alive for each in taken)
        assert len(taken) <= limit
        if len(alive) <= limit and limit:
            assert len(taken) == len(alive), "everything that fits is given out"
        elif limit and alive:
            assert len(taken) == limit
        if limit:
            self._buried(name, dead, [each.id for each in taken if each is not None], now_ms, full=len(taken) < limit)
        if self.fifo:
            self._in_order(alive, [each for each in taken if each is not None])
        until_ms = now_ms + 1000 * (config.visibility_timeout_s if timeout_s is None else timeout_s)
        for delivery in got:
            message = model.find(delivery.message_id)
            assert message is not None
            message.receives += 1
            message.first_ms = message.first_ms or now_ms
            message.visible_ms, message.fresh = until_ms, False
            message.handle = (delivery.handle, now_ms)
            assert delivery.receive_count == message.receives
            assert delivery.first_received_ms == message.first_ms
            assert (delivery.sent_ms, delivery.group) == (message.sent_ms, message.group)
            assert delivery.body == message.body
            self.handles.append((name, delivery, now_ms))

    def _buried(self, name: str, dead: list[Msg], taken: list[str], now_ms: int, *, full: bool) -> None:
        """Which of those that were received too often have gone, is the engine's choice unless it looked at all."""
        row_ids = set(self._ids_on_disk(name))
        for message in dead:
            if message.id in row_ids:
                assert not full, "a receive that gave out less than it might has seen every dead letter"
                continue
            self.models[name].messages.remove(message)
            message.visible_ms, message.fresh, message.handle = now_ms, False, None
            target = self.models["dead"]
            if self.fifo:
                message.kept_ms = now_ms
                dedup = next((key for key, seen in self.models["live"].seen.items() if seen[0] == message.id), None)
                if dedup is not None:
                    seen = target.seen.get(dedup)
                    if seen is not None and now_ms - seen[1] < 300_000:
                        continue
                    target.seen[dedup] = (message.id, now_ms)
            self._add(target, message)

    def _ids_on_disk(self, name: str) -> list[str]:
        sql = (
            "SELECT b.message_id FROM queueing_messages m JOIN queueing_bodies b ON b.id = m.body "
            "JOIN queueing_queues q ON q.shard = m.shard WHERE q.id = ?"
        )
        rows = self.run(self.bench.database.read(lambda tx: tx.all(sql, (self.configs[name].id,))))
        return [row[0] for row in rows]

    def _in_order(self, alive: list[Msg], taken: list[Msg]) -> None:
        for group in {each.group for each in taken}:
            waiting = [each.order for each in alive if each.group == group]
            given = [each.order for each in taken if each.group == group]
            assert given == waiting[: len(given)]

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if not self.handles:
            return
        name, delivery, _ = data.draw(st.sampled_from(self.handles))
        model, now_ms = self.models[name], self.now_ms
        message = model.find(delivery.message_id)
        [outcome] = self.run(self.bench.engine.delete_messages(self.configs[name].id, [delivery.handle]))
        if message is None or message.id not in [*self._ids_on_disk(name), delivery.message_id]:
            assert outcome is Outcome.GONE
            return
        expired = message.kept_ms < now_ms - RETENTION_S * 1000
        held = message.handle is not None and message.handle[0] == delivery.handle and message.visible_ms > now_ms
        if self.fifo and not held:
            assert outcome is Outcome.EXPIRED or (expired and outcome is Outcome.GONE)
        else:
            assert outcome is Outcome.DONE or (expired and outcome is Outcome.GONE)
            model.messages.remove(message)

    @rule(data=st.data(), timeout_s=st.sampled_from([0, 0, 1, 20, 43_200]))
    def change(self, data: st.DataObject, timeout_s: int) -> None:
        if not self.handles:
            return
        name, delivery, received_ms = data.draw(st.sampled_from(self.handles))
        model, now_ms = self.models[name], self.now_ms
        model.expire(now_ms)
        message = model.find(delivery.message_id)
        if message is None:
            return  # it may be on disk still, too old
        [outcome] = self.run(self.bench.engine.change_visibility(self.configs[name].id, [(delivery.handle, timeout_s)]))
        current = message.handle is not None and message.handle[0] == delivery.handle
        if message.handle is None and outcome is Outcome.GONE:
            return  # moved: the handle was the other queue's
        if self.fifo and not (current and message.visible_ms > now_ms):
            assert outcome is Outcome.EXPIRED
        elif not current:
            assert outcome is Outcome.NOT_IN_FLIGHT
        elif now_ms + timeout_s * 1000 - received_ms > 43_200_000:
            assert outcome is Outcome.TOO_LONG
        else:
            assert outcome is Outcome.DONE
            message.visible_ms = now_ms + timeout_s * 1000

    @rule(seconds=st.sampled_from([0.001, 1, 1, 5, 5, 31, 70]))
    def wait(self, seconds: float) -> None:
        self.run(self.bench.clock.advance(seconds))

    @rule(what=st.integers(0, 11), delay_s=st.sampled_from([0, 4, 20]))
    def now_and_then(self, what: int, delay_s: int) -> None:
        if what == 11:
            self.purge()
        elif what == 10:
            self.delay(delay_s)
        elif what > 7:
            self.disk_fails()
        elif what > 4:
            self.restart()

    def restart(self) -> None:
        self.run(self.bench.reopen())

    def purge(self) -> None:
        self.run(self.bench.engine.purge(self.configs["live"].id))
        self.models["live"].messages.clear()

    def delay(self, delay_s: int) -> None:
        self.configs["live"] = self.run(self.bench.configure(self.configs["live"], delay_s=delay_s))
        self.models["live"].delay_ms = delay_s * 1000

    def disk_fails(self) -> None:
        """Nothing of a unit that fails is kept, in memory either."""

        async def fail() -> None:
            await self.bench.engine.counts(self.configs["live"])  # a changed delay is taken in before
            commit, database = self.bench.database._commit, self.bench.database

            def failing() -> None:
                database._report(database._committed, sqlite3.OperationalError("disk I/O error"))

            database._commit = failing  # type: ignore[method-assign]
            try:
                with pytest.raises(StorageError):
                    await self.bench.engine.send(
                        self.configs["live"], [NewMessage(body=b"lost" * 9, group="a", deduplication_id="lost")]
                    )
            finally:
                database._commit = commit  # type: ignore[method-assign]

        self.run(fail())

    @invariant()
    def same_counts(self) -> None:
        if not hasattr(self, "models"):
            return
        for name, model in self.models.items():
            assert self.run(self.bench.counts(self.configs[name])) == model.counts(self.now_ms), name


class FifoMachine(Machine):
    fifo = True


LIMITS = settings(
    max_examples=25, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
TestStandardModel = Machine.TestCase
TestStandardModel.settings = LIMITS
TestFifoModel = FifoMachine.TestCase
TestFifoModel.settings = LIMITS
