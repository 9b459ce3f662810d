"""Provisioned concurrency: stored, and told to the engine that keeps the environments.

After whatever may have changed a function's configs, the engine is told what is stored then. So the order in which
changes finish does not matter: the last one tells the last state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from lambent.core.clock import Clock
from lambent.core.operations import Scope
from lambent.execution.model import Engine, FunctionVersion, ProvisionedStatus
from lambent.lambda_ import provisioned_store, store
from lambent.lambda_.directory import runnable
from lambent.lambda_.errors import function_not_found
from lambent.lambda_.names import FunctionReference, version_number
from lambent.lambda_.provisioned_rules import (
    check_executions,
    check_exists,
    check_qualifier,
    not_found,
    version_to_provision,
)
from lambent.lambda_.provisioned_store import ProvisionedConfig
from lambent.storage.database import Database, Transaction

_PENDING = ProvisionedStatus(requested=0, available=0, in_use=0, status="IN_PROGRESS")


class Provisioned(msgspec.Struct, frozen=True, kw_only=True):
    """A config and what there is of it: `available` environments are initialised."""

    config: ProvisionedConfig
    available: int
    status: str
    status_reason: str | None


class ProvisionedConcurrency:
    """Sets environments and concurrent executions aside for versions and aliases."""

    def __init__(self, database: Database, engine: Engine, clock: Clock, *, account_limit: int) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._account_limit = account_limit
        self._told: dict[tuple[Scope, str], dict[str, FunctionVersion]] = {}  # by function: versions by number
        # What is stored is read and told as one step, or an older state could reach the engine last.
        self._telling = asyncio.Lock()
        self._forgotten = 0  # deletions of functions so far: what was read before one may be what it deleted

    async def restore(self) -> None:
        """Tell the engine everything that is stored; call once at start."""
        for scope, name in await self._database.read(provisioned_store.functions_with_configs):
            await self._tell(scope, name)

    async def put(self, on: FunctionReference, executions: int) -> Provisioned:
        """Ask for `executions` environments on a version or alias; they come up in the background.

        Raises as `provisioned_rules.version_to_provision` and `check_executions`.
        """
        now = self._clock.now()

        def work(tx: Transaction) -> ProvisionedConfig:
            version = version_to_provision(tx, on)
            check_executions(tx, on, executions, self._account_limit)
            config = ProvisionedConfig(
                scope=on.scope,
                name=on.name,
                qualifier=check_qualifier(on),
                version=version.version,
                executions=executions,
                last_modified=now,
            )
            provisioned_store.save_config(tx, config)
            return config

        # The sums of the scope are checked, so its configs and reservations exclude each other.
        config = await self._database.run(work, key=(on.scope, "reserved concurrency"))
        return self._seen([config], await self._tell(on.scope, on.name))[0]

    async def get(self, on: FunctionReference) -> Provisioned:
        """Raises ResourceNotFound, ProvisionedConcurrencyConfigNotFound, and InvalidParameterValue for `$LATEST`."""
        qualifier = check_qualifier(on)

        def work(tx: Transaction) -> tuple[ProvisionedConfig | None, list[ProvisionedConfig]]:
            check_exists(tx, on)
            found = provisioned_store.find_config(tx, on.scope, on.name, qualifier)
            return found, provisioned_store.configs_of(tx, on.scope, on.name)

        config, every = await self._database.read(work)
        if config is None:
            raise not_found()
        return self._seen([config], every)[0]

    async def delete(self, on: FunctionReference) -> None:
        """No error when there is none. Raises ResourceNotFound, and InvalidParameterValue for `$LATEST`."""
        qualifier = check_qualifier(on)

        def work(tx: Transaction) -> None:
            check_exists(tx, on)
            provisioned_store.delete_config(tx, on.scope, on.name, qualifier)

        await self._database.run(work, key=(on.scope, "reserved concurrency"))
        await self.settle(on.scope, on.name)

    async def list_of(self, on: FunctionReference) -> Sequence[Provisioned]:
        """Every config of the function, in the order of qualifiers. Raises ResourceNotFound."""

        def work(tx: Transaction) -> list[ProvisionedConfig]:
            if not store.function_exists(tx, on.scope, on.name):
                raise function_not_found(on.arn)
            return provisioned_store.configs_of(tx, on.scope, on.name)

        every = await self._database.read(work)
        return self._seen(every, every)

    async def settle(self, scope: Scope, name: str) -> None:
        """Something of the function changed that may have ended a config: tell the engine."""
        if (scope, name) in self._told or self._telling.locked():
            await self._tell(scope, name)

    def forget(self, scope: Scope, name: str) -> None:
        """The function is deleted: tell the engine."""
        self._forgotten += 1
        for version in self._told.pop((scope, name), {}).values():
            self._engine.set_provisioned_concurrency(version, 0)

    async def _tell(self, scope: Scope, name: str) -> Sequence[ProvisionedConfig]:
        """Tell the engine what is stored for the function, and return it."""

        def work(tx: Transaction) -> tuple[list[ProvisionedConfig], dict[str, tuple[FunctionVersion, int]]]:
            wanted: dict[str, tuple[FunctionVersion, int]] = {}
            configs = provisioned_store.configs_of(tx, scope, name)
            for config in configs:
                version = store.find_version(tx, scope, name, version_number(config.version))
                if version is not None:
                    _, before = wanted.get(config.version, (None, 0))
                    wanted[config.version] = (runnable(version), before + config.executions)
            return configs, wanted

        async with self._telling:
            forgotten = -1
            while forgotten != self._forgotten:
                forgotten = self._forgotten
                configs, wanted = await self._database.read(work)
            for number, version in self._told.pop((scope, name), {}).items():
                if number not in wanted:
                    self._engine.set_provisioned_concurrency(version, 0)
            for version, executions in wanted.values():
                self._engine.set_provisioned_concurrency(version, executions)
            if wanted:
                self._told[scope, name] = {number: version for number, (version, _) in wanted.items()}
        return configs

    def _seen(self, configs: Sequence[ProvisionedConfig], every: Sequence[ProvisionedConfig]) -> list[Provisioned]:
        """`configs` with what the engine has of them; configs of one version share it, the first of `every` first."""
        seen = []
        for config in configs:
            version = self._told.get((config.scope, config.name), {}).get(config.version)
            status = (version and self._engine.provisioned_concurrency(version.key)) or _PENDING
            first = sum(
                other.executions
                for other in every
                if other.version == config.version and other.qualifier < config.qualifier
            )
            available = max(0, min(config.executions, status.available - first))
            ready = available == config.executions
            seen.append(
                Provisioned(
                    config=config,
                    available=available,
                    status="READY" if ready else "IN_PROGRESS" if status.status == "READY" else status.status,
                    status_reason=None if ready else status.status_reason,
                )
            )
        return seen
