"""The snapshots that one sandbox keeps: initialised versions, by the key that specs name them with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from lambent.sandbox.initialisation import InitError
from lambent.sandbox.protocol import CannotRun, RestoreFailed, SnapshotFailed
from lambent.sandbox.restore_lines import RestoreLines
from lambent.sandbox.runtime_process import Plan
from lambent.sandbox.version_zygote import POOL_SIZES, VARIABLE, VersionZygote

_BY_THE_FUNCTION = ("Runtime.AfterRestoreError", "Sandbox.Timedout")


class Snapshots:
    """Everything happens on one event loop."""

    def __init__(self) -> None:
        self._ready: dict[str, VersionZygote] = {}
        self._lacks: dict[str, str] = {}  # why a version cannot have one
        self._all: set[VersionZygote] = set()
        self._taking: dict[str, asyncio.Lock] = {}

    def find(self, key: str) -> VersionZygote | None:
        """What environments of this version are forked from, if there is such a thing now."""
        zygote = self._ready.get(key)
        if zygote is not None and not zygote.ready:
            del self._ready[key]
            zygote.drop()
            return None
        return zygote

    def lack(self, key: str) -> str:
        """Why this version cannot have one; "" where nothing is known against it."""
        return self._lacks.get(key, "")

    def refuse(self, key: str, lack: str) -> str:
        """This version is not to have one."""
        self._lacks[key] = lack
        return lack

    async def take(self, key: str, begin: Callable[[], Awaitable[VersionZygote]]) -> str:
        """Initialise the version unless that has happened; the reason when no fork of it can be an environment.

        `begin` opens its cell. Raises SnapshotFailed when its init fails, and what `begin` raises.
        """
        async with self._taking.setdefault(key, asyncio.Lock()):
            if self.find(key) is not None or key in self._lacks:
                return self.lack(key)
            zygote = await begin()
            self._all = {one for one in self._all if not one.closed} | {zygote}
            error: InitError | None = None
            try:
                error = await zygote.initialise()
            finally:
                if zygote.ready:
                    self._ready[key] = zygote
                else:
                    self._end(zygote)
            if error is not None:
                raise SnapshotFailed(error.error_type, _words(error))
            if zygote.lack:
                self._lacks[key] = zygote.lack
            return zygote.lack

    def drop(self, key: str) -> None:
        """Fork no more environments of this version. Idempotent."""
        self._lacks.pop(key, None)
        self._taking.pop(key, None)
        if (zygote := self._ready.pop(key, None)) is not None:
            zygote.drop()

    def close(self) -> None:
        """End all, with whatever was forked from them."""
        for zygote in list(self._all):
            self._end(zygote)
        self._ready.clear()

    def _end(self, zygote: VersionZygote) -> None:
        self._all.discard(zygote)
        zygote.close()


def snapshot_plan(plan: Plan, supervisor: str) -> Plan:
    """The plan for the runtime that is to be forked. Raises CannotRun for runtimes that are not ours."""
    if plan.transport != "framed":
        raise CannotRun("snapshots are taken of our own runtimes only")
    environment = {**POOL_SIZES, **plan.environment, VARIABLE: supervisor}
    return replace(plan, environment=environment)


def without_snapshot(plan: Plan, lack: str) -> Plan:
    """The plan for an environment that starts by itself although its version is to have snapshots."""
    if not lack:
        return plan
    text = f"[WARN] lambent: SnapStart takes no snapshot of this version: {lack}. Each environment runs the init.\n"
    return replace(plan, warnings=(*plan.warnings, text))


def check_restored(lines: RestoreLines) -> bool:
    """Whether the restore succeeded; False for a failure that is not the function's.

    Raises RestoreFailed when an after-restore hook failed, or the restore took longer than it may.
    """
    error_type = lines.outcome.error_type
    if lines.outcome.status != "success" and error_type in _BY_THE_FUNCTION:
        raise RestoreFailed(error_type, timeout=lines.outcome.status == "timeout")
    return lines.outcome.status == "success"


def _words(error: InitError) -> str:
    if error.timeout:
        return "its time was over"
    if error.failure is not None:
        return error.failure.detail
    return (error.body or b"").decode("utf-8", "replace")
