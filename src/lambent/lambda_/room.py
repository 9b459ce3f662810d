"""The Lambda service, put together: what the composition root builds, starts and closes."""

from __future__ import annotations

import random as system_random
from collections.abc import Callable, Mapping

from lambent.core.clock import Clock
from lambent.core.ids import IdSource, new_hex, new_uuid
from lambent.core.operations import Operation
from lambent.execution.debugging import Debugging
from lambent.execution.model import Engine, Snapshots
from lambent.lambda_ import layers_store, store
from lambent.lambda_.api import aliases, code, functions, invoke, resources, versions
from lambent.lambda_.api.furniture import Basics, Parts
from lambent.lambda_.api.tags import ExistsById
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.directory import Directory
from lambent.lambda_.function_attachments import FunctionAttachments
from lambent.lambda_.invocation import Invoker
from lambent.lambda_.layers import Layers
from lambent.lambda_.lifecycle import Lifecycle
from lambent.lambda_.packages import ObjectReader, Packages
from lambent.lambda_.provisioned import ProvisionedConcurrency
from lambent.storage.blobs import BlobStore
from lambent.storage.code_store import CodeStore
from lambent.storage.database import Database, Transaction


class LambdaRoom:
    """Lambda of one server process. `signing_key` signs the URLs that packages are fetched from.

    `taggable` finds what other rooms let Lambda tag, by the kind that its ARNs name (`event-source-mapping`).
    """

    def __init__(
        self,
        *,
        database: Database,
        engine: Engine,
        blobs: BlobStore,
        code_store: CodeStore,
        clock: Clock,
        signing_key: bytes,
        account_concurrency: int,
        snapshots: Snapshots | None = None,
        debugging: Debugging | None = None,
        objects: ObjectReader | None = None,
        taggable: Mapping[str, ExistsById] | None = None,
        new_id: IdSource = new_uuid,
        new_trace_digits: IdSource = new_hex,
        random: Callable[[], float] = system_random.random,
    ) -> None:
        basics = Basics(database=database, clock=clock, new_id=new_id)
        packages = Packages(blobs=blobs, code=code_store, objects=objects)
        directory = Directory(database)
        self._reserved = ReservedConcurrency(database, engine, account_limit=account_concurrency)
        self._provisioned = ProvisionedConcurrency(database, engine, clock, account_limit=account_concurrency)
        self._lifecycle = Lifecycle(
            database=database,
            code=code_store,
            directory=directory,
            engine=engine,
            clock=clock,
            new_id=new_id,
            snapshots=snapshots,
        )
        self.invoker = Invoker(directory=directory, engine=engine, random=random, debugging=debugging)
        parts = Parts(
            basics=basics,
            directory=directory,
            lifecycle=self._lifecycle,
            engine=engine,
            packages=packages,
            layers=Layers(),
            attachments=FunctionAttachments(self._reserved, self._provisioned),
            signing_key=signing_key,
        )
        self.operations: list[Operation] = [
            *functions.operations(parts),
            *code.operations(parts),
            *versions.operations(parts),
            *aliases.operations(parts),
            *invoke.operations(self.invoker, clock, new_trace_digits),
            *resources.operations(
                basics,
                directory=directory,
                reserved=self._reserved,
                provisioned=self._provisioned,
                packages=packages,
                signing_key=signing_key,
                concurrency_limit=account_concurrency,
                storage_limit_bytes=blobs.quota_bytes,
                taggable=taggable or {},
            ),
        ]

    async def start(self) -> None:
        """Tell the engine what is reserved, and go on with what the last process did not complete."""
        await self._reserved.restore()
        await self._lifecycle.resume()

    async def provision(self) -> None:
        """Bring up what is provisioned; call once the endpoint answers, which environments are told of."""
        self._lifecycle.serve()
        await self._provisioned.restore()

    async def close(self) -> None:
        """Stop background work. Call after the last request, before engine and database close."""
        await self._lifecycle.close()


def referenced_blobs(tx: Transaction) -> set[str]:
    """The hex SHA-256 of every package that functions, versions, updates in progress and layers need."""
    return store.referenced_blobs(tx) | layers_store.referenced_blobs(tx)
