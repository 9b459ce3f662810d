"""StartLiveTail: what some groups get, once a second, as an event stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.logs import groups, store
from lambent.logs.api.furniture import LOGS, Parts, matcher, named_by
from lambent.logs.errors import InvalidParameter, SessionTimeout
from lambent.logs.model import LogRecord
from lambent.logs.patterns import Matcher
from lambent.storage.database import Transaction

# CloudWatch Logs API reference, "StartLiveTail".
_UPDATE_S: Final = 1.0
_EVENTS_PER_UPDATE: Final = 500
_SESSION_S: Final = 3 * 3600.0
# What is read of a group for one update, at most; what came beyond it counts as sampled away.
_CHUNKS_PER_READ: Final = 16
_READS_PER_UPDATE: Final = 8


def operations(parts: Parts) -> list[Operation]:
    return [
        Operation(
            service=LOGS,
            name="StartLiveTail",
            handler=_StartLiveTail(parts),
            enforced=("logGroupIdentifiers", "logStreamNames", "logStreamNamePrefixes", "logEventFilterPattern"),
            note="SDKs put `stream-` before the endpoint's host name here; with an endpoint by address that is "
            "switched off by `inject_host_prefix=False`. An update of some events only holds the latest.",
        )
    ]


class _StartLiveTail:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, context: RequestContext, params: Params) -> Output:
        names = list(dict.fromkeys(named_by(context.scope, each) for each in params["logGroupIdentifiers"]))
        streams, prefixes = params.get("logStreamNames"), params.get("logStreamNamePrefixes")
        if (streams or prefixes) and len(names) > 1:
            raise InvalidParameter("Log streams can be chosen in a single log group only.")
        if streams and prefixes:
            raise InvalidParameter("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
        matches = matcher(params.get("logEventFilterPattern"))

        def work(tx: Transaction, scope: Scope) -> int:
            for name in names:
                groups.require(tx, scope, name)
            return store.newest_id(tx)

        after_id = await self._parts.look(context, work)
        session = {
            "requestId": context.request_id,
            "sessionId": self._parts.new_id(),
            "logGroupIdentifiers": params["logGroupIdentifiers"],
            "logStreamNames": streams or [],
            "logStreamNamePrefixes": prefixes or [],
            "logEventFilterPattern": params.get("logEventFilterPattern", ""),
        }
        accepts = _accepts(streams, prefixes, matches)
        return {"responseStream": self._session(context.scope, session, names, after_id, accepts)}

    async def _session(
        self, scope: Scope, session: Mapping[str, Any], names: Sequence[str], after_id: int, accepts: _Accepts
    ) -> AsyncIterator[dict[str, Any]]:
        clock = self._parts.clock
        ends_at = clock.monotonic() + _SESSION_S
        yield {"sessionStart": session}
        after = dict.fromkeys(names, after_id)
        while clock.monotonic() < ends_at:
            await clock.sleep(_UPDATE_S)
            found: list[tuple[str, LogRecord]] = []
            sampled = False
            for name in names:
                after[name], cut = await self._read(scope, name, after[name], accepts, found)
                sampled |= cut
            found.sort(key=lambda item: (item[1].timestamp_ms, item[1].stream_id, item[1].sequence))
            sampled |= len(found) > _EVENTS_PER_UPDATE
            yield {
                "sessionUpdate": {
                    "sessionMetadata": {"sampled": sampled},
                    "sessionResults": [_describe(scope, *item) for item in found[-_EVENTS_PER_UPDATE:]],
                }
            }
        raise SessionTimeout("The session has been open for three hours.")

    async def _read(
        self, scope: Scope, name: str, after_id: int, accepts: _Accepts, found: list[tuple[str, LogRecord]]
    ) -> tuple[int, bool]:
        """Add what a group got since `after_id`; the id to go on from, and whether something was left out."""
        for _ in range(_READS_PER_UPDATE):
            chunks = await self._parts.database.read(_after(scope, name, after_id))
            for chunk in chunks:
                found += [(name, record) for record in chunk.records() if accepts(record)]
                after_id = chunk.id
            if len(chunks) < _CHUNKS_PER_READ:
                return after_id, False
        return await self._parts.database.read(store.newest_id), True


_Accepts = Callable[[LogRecord], bool]


def _after(scope: Scope, name: str, after_id: int) -> Callable[[Transaction], list[store.StoredChunk]]:
    def work(tx: Transaction) -> list[store.StoredChunk]:
        group_id = store.find_group(tx, scope, name)
        return [] if group_id is None else store.chunks_after(tx, group_id, after_id, _CHUNKS_PER_READ)

    return work


def _accepts(streams: Sequence[str] | None, prefixes: Sequence[str] | None, matches: Matcher | None) -> _Accepts:
    names, begins = frozenset(streams or ()), tuple(prefixes or ())

    def accepts(record: LogRecord) -> bool:
        if names and record.stream not in names:
            return False
        if begins and not record.stream.startswith(begins):
            return False
        return matches is None or matches(record.message) is not None

    return accepts


def _describe(scope: Scope, group: str, record: LogRecord) -> dict[str, Any]:
    return {
        "logStreamName": record.stream,
        "logGroupIdentifier": f"{scope.account}:{group}",
        "message": record.message,
        "timestamp": record.timestamp_ms,
        "ingestionTime": record.ingested_ms,
    }
