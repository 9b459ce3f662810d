"""Carries changes of mappings out: Creating -> Enabled, Disabling -> Disabled, Deleting -> gone.

What was asked for is on disk before anything polls, and a settled state is stored only once the pollers are what it
says. A restart goes on with what it interrupted: telling a fleet twice does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from lambent.core.clock import Clock
from lambent.core.errors import AwsError, MachineFault
from lambent.core.tasks import Supervisor
from lambent.event_sources import store
from lambent.event_sources.model import EventSourceMapping, settled
from lambent.event_sources.surroundings import Fleets, Tags
from lambent.storage.database import Database, StorageError, Transaction

log = logging.getLogger("lambent.event_sources.lifecycle")

# Nobody who waits for the end of a transition should miss that there was one; AWS takes 5 to 60 seconds.
TRANSITION_S: Final = 0.1
_RETRY_S: Final = 1.0

Change = Callable[[Transaction], EventSourceMapping]


class Lifecycle:
    """Owns the tasks that carry changes out."""

    def __init__(self, *, database: Database, clock: Clock, fleets: Fleets, tags: Tags) -> None:
        self._database = database
        self._clock = clock
        self._fleets = fleets
        self._tags = tags
        self._tasks = Supervisor("event_sources.lifecycle")
        # A change that comes while a restart still brings the pollers up waits for its turn.
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def change(self, work: Change) -> EventSourceMapping:
        """Store what `work` returns and begin to carry it out. Raises what `work` raises, and StorageError.

        A caller that goes away meanwhile leaves no mapping behind in transition.
        """
        changed = await asyncio.shield(self._tasks.spawn(self._try_change(work), "change"))
        if isinstance(changed, EventSourceMapping):
            return changed
        raise changed

    async def _try_change(self, work: Change) -> EventSourceMapping | AwsError | MachineFault:
        try:
            mapping = await self._database.run(work, key="event source mappings")
        except (AwsError, MachineFault) as error:
            return error
        self._begin(mapping)
        return mapping

    async def resume(self) -> None:
        """Poll for every mapping that is enabled, and go on with what the last process did not complete."""
        for mapping in await self._database.read(store.everything):
            # Nothing polls yet: whatever was under way, an enabled mapping needs its fleet started.
            self._begin(mapping, polled=False)

    async def close(self) -> None:
        """Stop; what is not complete is resumed by the next process."""
        await self._tasks.close()

    def _begin(self, mapping: EventSourceMapping, *, polled: bool = True) -> None:
        if mapping.state == "Disabled":
            return
        self._tasks.spawn(self._carry_out(mapping, polled=polled), mapping.uuid)

    async def _carry_out(self, mapping: EventSourceMapping, *, polled: bool) -> None:
        async with self._turns[mapping.uuid]:
            await self._tell(mapping, polled=polled)
        if not mapping.in_transition:
            return
        await self._clock.sleep(TRANSITION_S)
        while True:
            try:
                await self._database.run(lambda tx: self._settle(tx, mapping), key="event source mappings")
                break
            except StorageError as error:
                log.error("%s: cannot store its new state, trying again: %s", mapping.arn, error)
                await self._clock.sleep(_RETRY_S)
        if mapping.state == "Deleting":
            del self._turns[mapping.uuid]

    async def _tell(self, mapping: EventSourceMapping, *, polled: bool) -> None:
        if mapping.state == "Deleting" or not mapping.enabled:
            await self._fleets.stop(mapping.uuid)
        elif polled and mapping.state == "Updating":
            await self._fleets.update(mapping)
        else:
            await self._fleets.start(mapping)

    def _settle(self, tx: Transaction, begun: EventSourceMapping) -> None:
        state = settled(begun)
        if state is None:
            store.delete(tx, begun.uuid)
            self._tags.delete_tags(tx, begun.arn)
        else:
            store.update(tx, msgspec.structs.replace(begun, state=state))
