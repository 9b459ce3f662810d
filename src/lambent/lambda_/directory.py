"""Which version a function name and qualifier stand for, resolved once and kept in memory.

A warm invoke looks here and touches no disk. Whoever changes a function does so inside `changing`: from its
start no answer for that function is taken from or put into memory, so nobody who saw the change on
disk (a waiter that read `Successful`) can be served the version before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from lambent.core.arns import function_arn
from lambent.core.operations import Scope
from lambent.execution.model import FunctionVersion
from lambent.lambda_ import recursion_store, store
from lambent.lambda_.errors import function_not_found
from lambent.lambda_.lineage import lineage_id
from lambent.lambda_.model import State, Version
from lambent.lambda_.names import is_version_number, version_number
from lambent.lambda_.runtimes import runtime_version_arn
from lambent.lambda_.service import LATEST
from lambent.storage.database import Database, Transaction

FunctionKey = tuple[str, str, str]  # account, region, name


class Runnable(msgspec.Struct, frozen=True, kw_only=True):
    """One version, ready for the engine."""

    function: FunctionVersion
    state: State


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a name and qualifier stand for: one version, or for a weighted alias one of several."""

    invoked_arn: str
    primary: Runnable
    others: tuple[tuple[Runnable, float], ...] = ()
    lineage_id: str
    loops_allowed: bool = False


def runnable(version: Version) -> FunctionVersion:
    """The version as the engine needs it. Its key changes with every deployment of code or configuration."""
    configuration = version.configuration
    return FunctionVersion(
        key=version_key(version),
        scope=version.scope,
        name=version.name,
        version=version.version,
        arn=version.arn,
        runtime=configuration.runtime,
        handler=configuration.handler,
        code=version.package.sha256,
        layers=tuple(layer.sha256 for layer in configuration.layers),
        environment=configuration.environment or {},
        role_arn=configuration.role,
        memory_mb=configuration.memory_mb,
        timeout_s=float(configuration.timeout_s),
        ephemeral_storage_mb=configuration.ephemeral_storage_mb,
        log_group=configuration.logging.log_group,
        log_format=configuration.logging.log_format,
        application_log_level=configuration.logging.application_log_level,
        system_log_level=configuration.logging.system_log_level,
        runtime_version_arn=runtime_version_arn(version.scope, configuration.runtime),
        max_concurrency=configuration.max_concurrency,
        initialization_type="snap-start" if version.snapshotted else "on-demand",
    )


def version_key(version: Version) -> str:
    """The engine's key of this deployment of this version."""
    return f"{version.qualified_arn}#{version.deployment_id}"


class Directory:
    """The resolved view of every function that was invoked since the server started."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._targets: dict[FunctionKey, dict[str | None, Target]] = {}
        self._changing: dict[FunctionKey, int] = {}
        self._changes_begun = 0

    async def find(self, scope: Scope, name: str, qualifier: str | None) -> Target:
        """What an invoke of `name` with `qualifier` (None: unqualified) runs.

        Raises ResourceNotFound with the ARN as Invoke words it (`:$LATEST` where no qualifier was given).
        """
        key = (scope.account, scope.region, name)
        if (targets := self._targets.get(key)) is not None and (target := targets.get(qualifier)) is not None:
            return target
        changes_begun = self._changes_begun
        found = await self._database.read(lambda tx: resolve(tx, scope, name, qualifier))
        # A change that began meanwhile may have made `found` old: use it for this invoke, which came before, only.
        if changes_begun == self._changes_begun and key not in self._changing:
            self._targets.setdefault(key, {})[qualifier] = found
        return found

    @contextmanager
    def changing(self, scope: Scope, name: str) -> Iterator[None]:
        """Held around units of work that change the function, its versions, its aliases or whether it may loop."""
        key = (scope.account, scope.region, name)
        self._changes_begun += 1
        self._changing[key] = self._changing.get(key, 0) + 1
        self._targets.pop(key, None)
        try:
            yield
        finally:
            self._changing[key] -= 1
            if not self._changing[key]:
                del self._changing[key]


def resolve(tx: Transaction, scope: Scope, name: str, qualifier: str | None) -> Target:
    """Read the target from the store. Raises ResourceNotFound."""
    invoked_arn = function_arn(scope, name, qualifier)
    missing = function_not_found(function_arn(scope, name, qualifier or LATEST))
    function = store.find_function(tx, scope, name)
    if function is None:
        raise missing

    own = lineage_id(function_arn(scope, name))
    allowed = recursion_store.find_recursive_loop(tx, scope, name) == "Allow"

    def version(text: str) -> Runnable:
        if text == LATEST:
            assert function is not None
            found: Version | None = function.serving or function.latest
        else:
            found = store.find_version(tx, scope, name, version_number(text))
        if found is None:
            raise missing
        return Runnable(function=runnable(found), state=found.status.state)

    if qualifier is None or qualifier == LATEST or is_version_number(qualifier):
        return Target(
            invoked_arn=invoked_arn, primary=version(qualifier or LATEST), lineage_id=own, loops_allowed=allowed
        )
    alias = store.find_alias(tx, scope, name, qualifier)
    if alias is None:
        raise missing
    return Target(
        invoked_arn=invoked_arn,
        primary=version(alias.function_version),
        others=tuple((version(other), weight) for other, weight in alias.weights.items()),
        lineage_id=own,
        loops_allowed=allowed,
    )
