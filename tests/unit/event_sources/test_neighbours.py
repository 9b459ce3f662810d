"""What mappings learn of real functions and queues."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lambent.core.ids import new_uuid
from lambent.event_sources.surroundings import Functions as FunctionsProtocol
from lambent.event_sources.surroundings import Queues as QueuesProtocol
from lambent.event_sources_neighbours import Function, LambdaFunctions, PolledQueue, SqsQueues
from lambent.lambda_ import concurrency_store
from lambent.lambda_.migrations import MIGRATIONS
from lambent.sqs import store as sqs_store
from lambent.sqs.model import Queue, QueueKey
from lambent.sqs.queues import Queues
from lambent.storage.database import Transaction
from lambent.storage.opening import open_database
from lambent.testing.clock import VirtualClock
from tests.unit.event_sources.fakes import QUEUE, ROLE, SCOPE
from tests.unit.lambda_.room import Room

KEY = QueueKey(account="000000000000", region="us-east-1", name="q")
FOREIGN_ROLE = "arn:aws:iam::111111111111:role/r"


class NoMessages:
    """As much of an engine as queues need to exist."""

    def create(self, tx: Transaction, queue: Queue) -> None: ...
    def configure(self, tx: Transaction, queue: Queue) -> None: ...


@pytest.fixture
async def lambda_(tmp_path: Path) -> AsyncIterator[Room]:
    database = await open_database(tmp_path / "control.db", MIGRATIONS, synchronous="OFF")
    yield Room(database)
    await database.close()


@pytest.fixture
async def queues(tmp_path: Path) -> AsyncIterator[Queues]:
    database = await open_database(tmp_path / "queues.db", sqs_store.MIGRATIONS, synchronous="OFF")
    engine: Any = NoMessages()
    yield Queues(database, engine, VirtualClock(), new_id=new_uuid, strict=False)
    await database.close()


async def test_functions(lambda_: Room) -> None:
    functions: FunctionsProtocol = LambdaFunctions(lambda_.database)
    await lambda_.function()
    await lambda_.published()
    await lambda_.alias()
    await lambda_.database.run(lambda tx: concurrency_store.save_reserved(tx, SCOPE, "f", 7))

    known = Function(timeout_s=3.0, role_arn=ROLE, reserved_concurrency=7)
    for qualifier in (None, "$LATEST", "1", "live"):
        assert await functions.find(SCOPE, "f", qualifier) == known
    for name, qualifier in (("g", None), ("f", "2"), ("f", "dead")):
        assert await functions.find(SCOPE, name, qualifier) is None
    assert functions.reference(SCOPE, "f:live").qualified_arn.endswith(":function:f:live")


async def test_queues(queues: Queues) -> None:
    seen: QueuesProtocol = SqsQueues(queues, VirtualClock())
    await queues.create(KEY, {"VisibilityTimeout": "60"}, {})
    assert seen.find(QUEUE) == PolledQueue(visibility_timeout_s=60, max_receive_count=None)
    assert seen.find(f"{QUEUE}2") is None
    assert seen.find("no ARN") is None

    redrive = json.dumps({"deadLetterTargetArn": QUEUE, "maxReceiveCount": "3"})
    other = QueueKey(account=KEY.account, region=KEY.region, name="source")
    await queues.create(other, {"RedrivePolicy": redrive}, {})
    assert seen.find("arn:aws:sqs:us-east-1:000000000000:source") == PolledQueue(
        visibility_timeout_s=30, max_receive_count=3
    )


async def test_what_a_role_may_not_do(queues: Queues) -> None:
    seen = SqsQueues(queues, VirtualClock())
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": FOREIGN_ROLE},
        "Action": ["sqs:ReceiveMessage", "sqs:GetQueueAttributes"],
        "Resource": QUEUE,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await queues.create(KEY, {}, {})
    assert seen.refused_action(QUEUE, ROLE) is None
    assert seen.refused_action(QUEUE, FOREIGN_ROLE) == "ReceiveMessage"
    assert seen.refused_action(f"{QUEUE}2", ROLE) is None

    key = QueueKey(account=KEY.account, region=KEY.region, name="shared")
    shared = f"arn:aws:sqs:us-east-1:{KEY.account}:shared"
    await queues.create(key, {"Policy": policy.replace(QUEUE, shared)}, {})
    assert seen.refused_action(shared, FOREIGN_ROLE) == "DeleteMessage"
    assert seen.refused_action(shared, ROLE) is None
