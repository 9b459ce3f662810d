"""Reserved concurrency: stored, and told to the engine that enforces it."""

from __future__ import annotations

import asyncio

from lambent.core.arns import function_arn
from lambent.core.limits import LAMBDA_UNRESERVED_MINIMUM
from lambent.core.operations import Scope
from lambent.execution.model import Engine
from lambent.lambda_ import concurrency_store, provisioned_store, store
from lambent.lambda_.errors import InvalidParameterValue, function_not_found
from lambent.lambda_.names import FunctionReference
from lambent.lambda_.service import LATEST
from lambent.storage.database import Database, Transaction


class ReservedConcurrency:
    """Reserves concurrent executions of an account for single functions."""

    def __init__(self, database: Database, engine: Engine, *, account_limit: int) -> None:
        self._database = database
        self._engine = engine
        self._account_limit = account_limit
        # A reservation is committed and told to the engine as one step, or two puts could reach it in the wrong order.
        self._telling = asyncio.Lock()

    async def restore(self) -> None:
        """Tell the engine every stored reservation; call once at start, before the first invoke."""
        for scope, name, executions in await self._database.read(lambda tx: list(concurrency_store.all_reserved(tx))):
            self._engine.set_reserved_concurrency(function_arn(scope, name), executions)

    async def put(self, on: FunctionReference, executions: int) -> None:
        """Reserve `executions` for the function (0 blocks it).

        Raises ResourceNotFound, and InvalidParameterValue when too little would stay unreserved or more is provisioned.
        """

        def work(tx: Transaction) -> None:
            if not store.function_exists(tx, on.scope, on.name):
                raise function_not_found(f"{on.arn}:{LATEST}")
            provisioned = provisioned_store.of_function(tx, on.scope, on.name)
            claimed = concurrency_store.reserved_by_others(tx, on.scope, on.name)
            claimed += provisioned_store.of_unreserved(tx, on.scope)
            if concurrency_store.find_reserved(tx, on.scope, on.name) is None:
                claimed -= provisioned  # it moves into the reservation
            check_unreserved(self._account_limit, claimed, executions)
            if executions < provisioned:
                # The two spaces are AWS's.
                raise InvalidParameterValue(
                    f" ReservedConcurrentExecutions  {executions} should not be lower than function's total "
                    f"provisioned concurrency [{provisioned}]."
                )
            concurrency_store.save_reserved(tx, on.scope, on.name, executions)

        async with self._telling:
            # The sum over all functions is checked, so reservations of one scope exclude each other.
            await self._database.run(work, key=(on.scope, "reserved concurrency"))
            self._engine.set_reserved_concurrency(on.arn, executions)

    async def get(self, on: FunctionReference) -> int | None:
        """What is reserved for the function, None when nothing is. Raises ResourceNotFound."""

        def work(tx: Transaction) -> int | None:
            if not store.function_exists(tx, on.scope, on.name):
                raise function_not_found(on.arn)
            return concurrency_store.find_reserved(tx, on.scope, on.name)

        return await self._database.read(work)

    async def delete(self, on: FunctionReference) -> None:
        """Lift the function's reservation, if any. Raises ResourceNotFound."""

        def work(tx: Transaction) -> None:
            if not store.function_exists(tx, on.scope, on.name):
                raise function_not_found(on.arn)
            concurrency_store.delete_reserved(tx, on.scope, on.name)

        async with self._telling:
            await self._database.run(work, key=(on.scope, "reserved concurrency"))
            self._engine.set_reserved_concurrency(on.arn, None)

    def forget(self, scope: Scope, name: str) -> None:
        """The function and its reservation are deleted: tell the engine."""
        self._engine.set_reserved_concurrency(function_arn(scope, name), None)


def check_unreserved(account_limit: int, claimed: int, executions: int) -> None:
    """Raises InvalidParameterValue when a reservation beside what is `claimed` leaves less than AWS demands.

    That is 100, or the whole limit of an account that has less, as on AWS's small accounts.
    """
    minimum = min(LAMBDA_UNRESERVED_MINIMUM, account_limit)
    if account_limit - claimed - executions < minimum:
        raise InvalidParameterValue(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{minimum}]."
        )
