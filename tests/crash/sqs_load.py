"""Clients of SQS that keep books: what was acknowledged, received and deleted, while the server dies under them.

Used by the crash test (tens of kills) and by `python -m benchmarks sqs_crash KILLS` (as many as one likes).
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions

from lambent.testing.server import ServerProcess

CUT = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
GROUPS = ("a", "b", "c")


@dataclass(slots=True)
class Books:
    """What clients know. Bodies are unique; those of the FIFO queue are `group number`."""

    acknowledged: set[str] = field(default_factory=set)
    received: set[str] = field(default_factory=set)
    deleted_at: dict[str, float] = field(default_factory=dict)  # body to when the deletion was acknowledged
    newest: dict[str, int] = field(default_factory=dict)  # group to the greatest number that was received
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, bodies: list[str], asked_at: float, *, fifo: bool) -> None:
        """Note what a receive that began at `asked_at` returned."""
        with self.lock:
            for body in bodies:
                if self.deleted_at.get(body, asked_at) < asked_at:
                    self.faults.append(f"{body!r} came back after its deletion")
                if fifo and body not in self.received:
                    group, number = body.split()
                    before = self.newest.get(group, 0)
                    if int(number) != before + 1:
                        self.faults.append(f"group {group}: {number} came after {before}")
                    self.newest[group] = max(before, int(number))
                self.received.add(body)

    def delete(self, bodies: list[str]) -> None:
        """Note that a deletion was acknowledged just now."""
        with self.lock:
            for body in bodies:
                self.deleted_at.setdefault(body, time.monotonic())


class Load:
    """Senders and consumers on one server; `hammer` loads it and kills it in the middle."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.books = Books()
        self._names = itertools.count(1)
        self._next = dict.fromkeys(GROUPS, 1)

    def create(self) -> None:
        """The two queues. Messages that a dead consumer held come back after a second."""
        sqs = self.server.client("sqs")
        sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "1"})
        sqs.create_queue(QueueName="work.fifo", Attributes={"VisibilityTimeout": "1", "FifoQueue": "true"})

    def hammer(self, load_s: float) -> None:
        """Load the running server for a while, and end it with SIGKILL while requests are under way."""
        stopping = threading.Event()
        jobs = [(self._send, ()), (self._send_batches, ()), (self._consume, ("work",)), (self._consume, ("work.fifo",))]
        jobs += [(self._send_in_order, (group,)) for group in GROUPS]
        threads = [
            threading.Thread(target=self._until, args=(stopping, job, *arguments), daemon=True)
            for job, arguments in jobs
        ]
        for thread in threads:
            thread.start()
        time.sleep(load_s)  # not a wait for anything: the kill must fall at a random instant of the load
        self.server.kill()
        stopping.set()
        for thread in threads:
            thread.join(30)

    def drain(self, *, timeout_s: float = 30.0) -> None:
        """Receive until nothing is left that was acknowledged and not deleted, or until the time is over."""
        sqs = self.server.client("sqs")
        until = time.monotonic() + timeout_s
        while self._missing() and time.monotonic() < until:
            for name in ("work", "work.fifo"):
                try:
                    self._consume(sqs, name, wait_s=0)
                except botocore.exceptions.ClientError as error:
                    self.books.faults.append(str(error))
                    return

    def losses(self) -> list[str]:
        """Everything that must not be, in words."""
        return [*self.books.faults, *(f"{body!r} was lost" for body in sorted(self._missing()))]

    def _missing(self) -> set[str]:
        with self.books.lock:
            return self.books.acknowledged - self.books.received

    def _until(self, stopping: threading.Event, job: Any, *arguments: Any) -> None:
        sqs = self.server.client("sqs")
        while not stopping.is_set():
            try:
                job(sqs, *arguments)
            except CUT as error:
                # The kill cuts connections; an answer with an error would be a fault of ours.
                if isinstance(error, botocore.exceptions.ClientError):
                    self.books.faults.append(str(error))
                return

    def _send(self, sqs: Any) -> None:
        body = f"one {next(self._names)}"
        sqs.send_message(QueueUrl="work", MessageBody=body)
        with self.books.lock:
            self.books.acknowledged.add(body)

    def _send_batches(self, sqs: Any) -> None:
        entries = [{"Id": str(number), "MessageBody": f"batch {next(self._names)}"} for number in range(10)]
        sent = sqs.send_message_batch(QueueUrl="work", Entries=entries)["Successful"]
        taken = {entry["Id"] for entry in sent}
        with self.books.lock:
            self.books.acknowledged.update(entry["MessageBody"] for entry in entries if entry["Id"] in taken)

    def _send_in_order(self, sqs: Any, group: str) -> None:
        """The next number of the group. One whose fate is unknown is sent again, as an SDK does, and not skipped."""
        body = f"{group} {self._next[group]}"
        sqs.send_message(
            QueueUrl="work.fifo", MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body.replace(" ", "-")
        )
        with self.books.lock:
            self.books.acknowledged.add(body)
        self._next[group] += 1

    def _consume(self, sqs: Any, name: str, *, wait_s: int = 1) -> None:
        asked_at = time.monotonic()
        answer = sqs.receive_message(QueueUrl=name, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
        messages = answer.get("Messages", [])
        self.books.receive([message["Body"] for message in messages], asked_at, fifo=name.endswith(".fifo"))
        # Some are let go again, so that messages come more than once.
        kept = [message for message in messages if random.random() < 0.9]
        if not kept:
            return
        entries = [{"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(kept)]
        deleted = sqs.delete_message_batch(QueueUrl=name, Entries=entries).get("Successful", [])
        self.books.delete([kept[int(entry["Id"])]["Body"] for entry in deleted])
