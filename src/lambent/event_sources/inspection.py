"""What people should know of each mapping: why nothing moves, and what may bite later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from lambent.event_sources import lints, store
from lambent.event_sources.model import EventSourceMapping
from lambent.event_sources.surroundings import Fleets, Functions, Queues, Tags
from lambent.storage.database import Database, Transaction


class Inspection:
    """Looks at mappings together with their functions, their queues and each other."""

    def __init__(self, *, database: Database, functions: Functions, queues: Queues, tags: Tags, fleets: Fleets) -> None:
        self._database = database
        self._functions = functions
        self._queues = queues
        self._tags = tags
        self._fleets = fleets

    async def warnings(self, mapping: EventSourceMapping) -> list[str]:
        """What the lints say of one mapping."""

        def read(tx: Transaction) -> tuple[list[EventSourceMapping], dict[str, str]]:
            return store.related(tx, mapping), self._tags.tags_of(tx, mapping.arn)

        related, tags = await self._database.read(read)
        _, warnings = await self._look(mapping, related, tags)
        return warnings

    async def report(self) -> list[dict[str, Any]]:
        """Each mapping of the server: what it is, its problems and warnings, and what its pollers do."""
        every, tags = await self._database.read(self._everything)
        related: defaultdict[object, list[EventSourceMapping]] = defaultdict(list)
        for mapping in every:
            for key in (mapping.event_source_arn, (mapping.scope, mapping.function_name)):
                related[key].append(mapping)
        rows = []
        for mapping in every:
            of_function = related[mapping.scope, mapping.function_name]
            others = {one.uuid: one for one in (*related[mapping.event_source_arn], *of_function)}
            problems, warnings = await self._look(mapping, others.values(), tags[mapping.arn])
            rows.append(
                {
                    "uuid": mapping.uuid,
                    "account": mapping.scope.account,
                    "region": mapping.scope.region,
                    "function": mapping.function_arn,
                    "queue": mapping.event_source_arn,
                    "state": mapping.state,
                    "mode": "standard" if mapping.settings.pollers is None else "provisioned",
                    "problems": problems,
                    "warnings": warnings,
                    "pollers": dict(self._fleets.status(mapping.uuid)),
                }
            )
        return rows

    def _everything(self, tx: Transaction) -> tuple[list[EventSourceMapping], dict[str, dict[str, str]]]:
        every = store.everything(tx)
        return every, {mapping.arn: self._tags.tags_of(tx, mapping.arn) for mapping in every}

    async def _look(
        self, mapping: EventSourceMapping, related: Iterable[EventSourceMapping], tags: dict[str, str]
    ) -> tuple[list[str], list[str]]:
        function = await self._functions.find(mapping.scope, mapping.function_name, mapping.qualifier)
        queue = self._queues.find(mapping.event_source_arn)
        problems = []
        if function is None:
            problems.append("the function does not exist: messages are received, and come back")
        if queue is None:
            problems.append("the queue does not exist: there is nothing to receive")
        situation = lints.Situation(
            mapping=mapping,
            function=function,
            queue=queue,
            others=[one for one in related if one.uuid != mapping.uuid and one.state != "Deleting"],
            latency_goal_s=lints.latency_goal_s(tags),
        )
        return problems, lints.warnings(situation)
