"""A Lambda room on a real database: functions put straight into the store, operations called by name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lambent.core.arns import function_arn
from lambent.core.ids import IdSource
from lambent.core.operations import Operation, RequestContext, Scope
from lambent.lambda_ import store
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.migrations import MIGRATIONS as MIGRATIONS
from lambent.lambda_.model import Alias, Configuration, Logging, Package, Status, Version
from lambent.storage.database import Database
from lambent.testing.clock import VirtualClock

SCOPE = Scope(account="000000000000", region="us-east-1")
ARN = function_arn(SCOPE, "f")


def counting_ids(prefix: str = "id") -> IdSource:
    numbers: Iterator[int] = itertools.count(1)
    return lambda: f"{prefix}-{next(numbers)}"


def version(name: str = "f", number: int = 0, scope: Scope = SCOPE, zip_bytes: int = 300) -> Version:
    return Version(
        scope=scope,
        name=name,
        number=number,
        package=Package(sha256="ab" * 32, zip_bytes=zip_bytes, unzipped_bytes=900),
        configuration=Configuration(
            role="arn:aws:iam::000000000000:role/r",
            logging=Logging(log_group=f"/aws/lambda/{name}"),
            runtime="python3.13",
            handler="handler.handler",
        ),
        status=Status(state="Active", last_update="Successful"),
        revision_id=f"revision of {name}:{number}",
        deployment_id=f"deployment of {name}:{number}",
        last_modified=1_767_225_600.0,
    )


class Room:
    """Operations under test by name, and the parts that they share."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = VirtualClock()
        self.basics = Basics(database=database, clock=self.clock, new_id=counting_ids("revision"))
        self._operations: dict[str, Operation] = {}

    def serve(self, operations: Iterable[Operation]) -> None:
        self._operations |= {operation.name: operation for operation in operations}

    async def call(self, operation: str, /, scope: Scope = SCOPE, **params: Any) -> Mapping[str, Any]:
        """Call a handler with input members; its output (empty for none)."""
        context = RequestContext(
            service="lambda", operation=operation, scope=scope, request_id="r", endpoint="http://localhost:4566"
        )
        output = await self._operations[operation].handler(context, params)
        assert output is None or isinstance(output, Mapping)
        return output or {}

    async def function(self, name: str = "f", scope: Scope = SCOPE, **options: Any) -> None:
        await self.database.run(lambda tx: store.insert_function(tx, version(name, scope=scope, **options)))

    async def published(self, name: str = "f", number: int = 1) -> None:
        await self.database.run(lambda tx: store.insert_published(tx, version(name, number)))

    async def alias(self, alias: str = "live", name: str = "f", function_version: str = "1") -> None:
        await self.database.run(
            lambda tx: store.save_alias(
                tx,
                Alias(
                    scope=SCOPE,
                    function_name=name,
                    name=alias,
                    function_version=function_version,
                    revision_id=f"revision of {name}:{alias}",
                ),
            )
        )

    async def revision(self, qualifier: str | None = None, name: str = "f") -> str | None:
        return await self.database.read(lambda tx: store.revision_of(tx, SCOPE, name, qualifier))
