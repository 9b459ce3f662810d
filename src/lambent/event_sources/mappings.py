"""The event source mappings of this server: made, found, changed and deleted, in AWS's order of checks."""

from __future__ import annotations

import logging

import msgspec

from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.operations import Params, Scope
from lambent.event_sources import references, store, validation
from lambent.event_sources.errors import InvalidParameterValue, conflict, in_use, not_found
from lambent.event_sources.inspection import Inspection
from lambent.event_sources.lifecycle import Lifecycle
from lambent.event_sources.model import EventSourceMapping, Settings, is_fifo, updating
from lambent.event_sources.surroundings import FunctionFacts, FunctionReference, Functions, Queues, Tags
from lambent.storage.database import Database, Transaction

log = logging.getLogger("lambent.event_sources")

_NO_QUEUE = (
    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
    "SQS Error Message: The specified queue does not exist."
)


class Mappings:
    """`strict_aws` refuses what AWS refuses where Lambent's own limits are kinder."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        new_id: IdSource,
        functions: Functions,
        queues: Queues,
        tags: Tags,
        lifecycle: Lifecycle,
        inspection: Inspection,
        strict_aws: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._functions = functions
        self._queues = queues
        self._tags = tags
        self._lifecycle = lifecycle
        self._inspection = inspection
        self._strict = strict_aws
        self._limits = validation.limits_of(strict_aws=strict_aws)

    async def create(self, scope: Scope, params: Params) -> EventSourceMapping:
        """The new mapping in its first state, which goes on in the background.

        Raises InvalidParameterValue, ValidationError, ResourceConflict, and what `Functions.reference` raises.
        """
        validation.check_constraints(params, self._limits)
        queue_arn = references.queue_arn(scope, self._arn(scope, params.get("EventSourceArn")))
        validation.refuse_foreign(params)
        settings = validation.settings_of(params, Settings(), fifo=is_fifo(queue_arn), limits=self._limits)
        reference = self._functions.reference(scope, self._arn(scope, params["FunctionName"]) or "")
        function = await self._require_function(reference)
        self._check_queue(queue_arn, function)
        enabled = params.get("Enabled") is not False
        mapping = EventSourceMapping(
            uuid=self._new_id(),
            scope=scope,
            function_name=reference.name,
            qualifier=reference.qualifier,
            function_arn=reference.qualified_arn,
            event_source_arn=queue_arn,
            settings=settings,
            enabled=enabled,
            state="Creating" if enabled else "Disabled",
            last_modified=self._clock.now(),
        )

        def work(tx: Transaction) -> EventSourceMapping:
            _check_pair(tx, mapping)
            store.insert(tx, mapping)
            if params.get("Tags"):
                self._tags.put_tags(tx, mapping.arn, params["Tags"])
            return mapping

        made = await self._lifecycle.change(work)
        for warning in await self._inspection.warnings(made):
            log.warning("%s from %s to %s: %s", made.uuid, made.event_source_arn, made.function_arn, warning)
        return made

    async def get(self, scope: Scope, uuid: str) -> EventSourceMapping:
        """Raises ResourceNotFound."""
        return await self._database.read(lambda tx: _require(tx, scope, uuid))

    async def page(
        self, scope: Scope, *, event_source: str | None, function: str | None, after: str, limit: int
    ) -> list[EventSourceMapping]:
        """At most `limit` mappings in the order of UUIDs, of exactly this queue and this (un)qualified function.

        Raises ValidationError, and what `Functions.reference` raises.
        """
        source_arn = self._arn(scope, event_source)
        if source_arn is not None:
            references.check_arn(source_arn)
        function_arn = None
        if function is not None:
            function_arn = self._functions.reference(scope, self._arn(scope, function) or "").qualified_arn
        return await self._database.read(
            lambda tx: store.page(
                tx, scope, event_source_arn=source_arn, function_arn=function_arn, after=after, limit=limit
            )
        )

    async def update(self, scope: Scope, uuid: str, params: Params) -> EventSourceMapping:
        """The mapping with what the request gives, in transition.

        Raises ResourceNotFound, ResourceInUse, InvalidParameterValue, ValidationError, ResourceConflict, and what
        `Functions.reference` raises.
        """
        validation.check_constraints(params, self._limits)
        there = await self.get(scope, uuid)
        validation.refuse_foreign(params)
        validation.settings_of(params, there.settings, fifo=there.fifo, limits=self._limits)
        reference = None
        if params.get("FunctionName") is not None:
            reference = self._functions.reference(scope, self._arn(scope, params["FunctionName"]) or "")
            await self._require_function(reference)
        now_s = self._clock.now()

        def work(tx: Transaction) -> EventSourceMapping:
            old = _require(tx, scope, uuid)
            if old.in_transition:
                raise in_use("update")
            enabled = old.enabled if params.get("Enabled") is None else params["Enabled"]
            changed = msgspec.structs.replace(
                old,
                settings=validation.settings_of(params, old.settings, fifo=old.fifo, limits=self._limits),
                enabled=enabled,
                state=updating(old, enabled=enabled),
                last_modified=now_s,
            )
            if reference is not None:
                changed = msgspec.structs.replace(
                    changed,
                    function_name=reference.name,
                    qualifier=reference.qualifier,
                    function_arn=reference.qualified_arn,
                )
                _check_pair(tx, changed)
            store.update(tx, changed)
            return changed

        return await self._lifecycle.change(work)

    async def delete(self, scope: Scope, uuid: str) -> EventSourceMapping:
        """The mapping as it goes; its fleet receives nothing more. Raises ResourceNotFound and ResourceInUse."""
        now_s = self._clock.now()

        def work(tx: Transaction) -> EventSourceMapping:
            old = _require(tx, scope, uuid)
            if old.in_transition:
                raise in_use("delete")
            going = msgspec.structs.replace(old, state="Deleting", last_modified=now_s)
            store.update(tx, going)
            return going

        return await self._lifecycle.change(work)

    def _arn(self, scope: Scope, text: str | None) -> str | None:
        return text if text is None or self._strict else references.own_account(scope, text)

    async def _require_function(self, reference: FunctionReference) -> FunctionFacts:
        function = await self._functions.find(reference.scope, reference.name, reference.qualifier)
        if function is None:
            raise InvalidParameterValue("Function does not exist")
        return function

    def _check_queue(self, queue_arn: str, function: FunctionFacts) -> None:
        queue = self._queues.find(queue_arn)
        if queue is None:
            raise InvalidParameterValue(_NO_QUEUE)
        action = self._queues.refused_action(queue_arn, function.role_arn)
        if action is not None:
            raise InvalidParameterValue(
                f"The function execution role does not have permissions to call {action} on SQS"
            )
        validation.check_queue_waits(queue.visibility_timeout_s, function.timeout_s)


def _require(tx: Transaction, scope: Scope, uuid: str) -> EventSourceMapping:
    mapping = store.find(tx, scope, uuid)
    if mapping is None:
        raise not_found()
    return mapping


def _check_pair(tx: Transaction, mapping: EventSourceMapping) -> None:
    """Raise ResourceConflict when another mapping brings this queue to this function."""
    there = store.find_pair(tx, mapping.event_source_arn, mapping.function_arn)
    if there is not None and there.uuid != mapping.uuid:
        name = mapping.function_name if mapping.qualifier is None else f"{mapping.function_name}:{mapping.qualifier}"
        raise conflict(mapping.event_source_arn, name, there.uuid)
