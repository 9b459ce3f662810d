from __future__ import annotations

from lambent.core.operations import Scope
from lambent.lambda_ import concurrency_store, layers_store
from lambent.lambda_.api import account
from lambent.lambda_.layers_store import LayerVersion
from lambent.lambda_.model import Package
from tests.unit.lambda_.room import SCOPE, Room


async def test_what_is_used_and_what_is_left(room: Room) -> None:
    room.serve(account.operations(room.basics, concurrency_limit=1000, storage_limit_bytes=5000))
    await room.function("f", zip_bytes=100)
    await room.function("g", zip_bytes=20)
    await room.published("f")  # 300 bytes
    await room.function("f", scope=Scope(account="111111111111", region="us-east-1"), zip_bytes=7777)
    layer = LayerVersion(
        scope=SCOPE,
        name="l",
        version=1,
        package=Package(sha256="cd" * 32, zip_bytes=3, unzipped_bytes=9),
        created_at=0.0,
    )
    await room.database.run(lambda tx: layers_store.insert_version(tx, layer))
    await room.database.run(lambda tx: concurrency_store.save_reserved(tx, SCOPE, "f", 40))

    assert await room.call("GetAccountSettings") == {
        "AccountLimit": {
            "TotalCodeSize": 5000,
            "CodeSizeUnzipped": 262144000,
            "CodeSizeZipped": 52428800,
            "ConcurrentExecutions": 1000,
            "UnreservedConcurrentExecutions": 960,
        },
        "AccountUsage": {"TotalCodeSize": 423, "FunctionCount": 2},
    }
