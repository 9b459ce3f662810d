"""Completes what a create or an update began: Pending -> Active, InProgress -> Successful, or Failed.

The code is unpacked when the request is accepted, so that completing is normally one write. A restart
resumes what it interrupted, unpacking again where the unpacked folder was lost. A version with SnapStart becomes active
once its snapshot is taken.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.tasks import Supervisor
from lambent.core.zips import ArchiveError
from lambent.execution.model import Engine, Snapshots
from lambent.lambda_ import store
from lambent.lambda_.directory import Directory, runnable, version_key
from lambent.lambda_.model import LATEST_NUMBER, Status, Version
from lambent.lambda_.versions import ACTIVE
from lambent.sandbox.protocol import CannotRun, CodeSource, SnapshotFailed
from lambent.storage.database import Database, StorageError, Transaction

log = logging.getLogger("lambent.lambda.lifecycle")

_RETRY_S = 1.0
_REASON_CHARS = 1000


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a version does not become active: StateReason and StateReasonCode."""

    reason: str
    code: str


class Lifecycle:
    """Owns the tasks that complete changes."""

    def __init__(
        self,
        *,
        database: Database,
        code: CodeSource,
        directory: Directory,
        engine: Engine,
        clock: Clock,
        new_id: IdSource,
        snapshots: Snapshots | None = None,
    ) -> None:
        """`snapshots` are needed for functions with SnapStart, which fail without."""
        self._snapshots = snapshots
        self._serving = asyncio.Event()
        self._database = database
        self._code = code
        self._directory = directory
        self._engine = engine
        self._clock = clock
        self._new_id = new_id
        self._tasks = Supervisor("lambda.lifecycle")

    def begin(self, version: Version) -> None:
        """Complete the change that left `version` Pending or InProgress, in the background."""
        self._tasks.spawn(self._complete(version), version.qualified_arn)

    async def resume(self) -> None:
        """Begin again what the last process did not complete."""
        for version in await self._database.read(store.list_changing):
            self.begin(version)

    def serve(self) -> None:
        """The endpoint answers, which functions may use in their init: snapshots can be taken."""
        self._serving.set()

    async def close(self) -> None:
        """Stop; what is not complete is resumed by the next process."""
        await self._tasks.close()

    async def _complete(self, version: Version) -> None:
        reason = await self._why_not_ready(version)
        while True:
            try:
                with self._directory.changing(version.scope, version.name):
                    replaced = await self._database.run(
                        lambda tx: settle(tx, version, reason, self._new_id), key=(version.scope, version.name)
                    )
                break
            except StorageError as error:
                log.error("%s: cannot store its new state, trying again: %s", version.qualified_arn, error)
                await self._clock.sleep(_RETRY_S)
        if replaced is not None:
            self._engine.retire(version_key(replaced))

    async def _why_not_ready(self, version: Version) -> Failure | None:
        for sha256 in (version.package.sha256, *(layer.sha256 for layer in version.configuration.layers)):
            try:
                await self._code.folder(sha256)
            except (KeyError, ArchiveError) as error:
                log.error("%s: its package cannot be unpacked: %s", version.qualified_arn, error)
                return Failure(reason="The deployment package could not be unpacked.", code="InvalidZipFileException")
        return await self._take_snapshot(version) if version.snapshotted else None

    async def _take_snapshot(self, version: Version) -> Failure | None:
        if self._snapshots is None:
            return Failure(reason="This server takes no snapshots.", code="InternalError")
        await self._serving.wait()
        try:
            lack = await self._snapshots.take(runnable(version))
        except SnapshotFailed as failed:
            log.info("%s: its init failed: %s", version.qualified_arn, failed)
            timeout = failed.error_type == "Sandbox.Timedout"
            return Failure(
                reason=f"The init of the function failed: {failed}"[:_REASON_CHARS],
                code="FunctionError.InitTimeout" if timeout else "FunctionError.RuntimeInitError",
            )
        except CannotRun as error:
            return Failure(reason=str(error)[:_REASON_CHARS], code="InvalidRuntime")
        if lack:
            log.warning("%s: SnapStart takes no snapshot of it: %s", version.qualified_arn, lack)
        return None


def settle(tx: Transaction, begun: Version, failure: Failure | None, new_id: IdSource) -> Version | None:
    """Store the end of the change that `begun` began; the version whose environments it replaces, if any.

    Nothing happens when the function was deleted or changed since.
    """
    current = store.find_version(tx, begun.scope, begun.name, begun.number)
    if current is None or current.deployment_id != begun.deployment_id or not current.status.changing:
        return None
    serving = None
    if begun.number == LATEST_NUMBER:
        function = store.find_function(tx, begun.scope, begun.name)
        serving = None if function is None else function.serving
    settled = msgspec.structs.replace(current, status=_settled(current.status, failure), revision_id=new_id())
    # A failed update leaves invokes on what they ran before.
    store.save_version(tx, settled, serving=None if failure is None else serving)
    return serving if failure is None else None


def _settled(status: Status, failure: Failure | None) -> Status:
    if failure is None:
        return ACTIVE
    if status.state == "Pending":
        return Status(state="Failed", state_reason=failure.reason, state_reason_code=failure.code)
    return Status(
        state="Active", last_update="Failed", last_update_reason=failure.reason, last_update_reason_code=failure.code
    )
