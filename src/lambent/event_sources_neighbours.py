"""Lambda's functions and SQS's queues as event source mappings see them: what `platform` hands to their room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lambent.core.arns import Arn, assumed_role_arn
from lambent.core.clock import Clock
from lambent.core.operations import Scope
from lambent.lambda_ import concurrency_store
from lambent.lambda_.directory import resolve
from lambent.lambda_.errors import ResourceNotFound
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.sqs import access, redrive
from lambent.sqs.errors import AccessDenied
from lambent.sqs.model import Caller, Queue
from lambent.sqs.names import key_of_arn
from lambent.sqs.queues import Queues
from lambent.storage.database import Database, Transaction

# Lambda developer guide, "Using Lambda with Amazon SQS": what the execution role must allow.
_ACTIONS: Final = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_SESSION: Final = "lambda-event-source-mapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What matters of a function, version or alias (of a weighted alias: of its first version)."""

    timeout_s: float
    role_arn: str
    reserved_concurrency: int | None


class LambdaFunctions:
    """`event_sources.surroundings.Functions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reference(self, scope: Scope, text: str) -> FunctionReference:
        """Raises as `names.parse_function`."""
        return parse_function(scope, text)

    async def find(self, scope: Scope, name: str, qualifier: str | None) -> Function | None:
        """The function as it runs now, None when it, its version or its alias is not there."""

        def read(tx: Transaction) -> Function:
            function = resolve(tx, scope, name, qualifier).primary.function
            return Function(
                timeout_s=function.timeout_s,
                role_arn=function.role_arn,
                reserved_concurrency=concurrency_store.find_reserved(tx, scope, name),
            )

        try:
            return await self._database.read(read)
        except ResourceNotFound:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledQueue:
    """What matters of a queue."""

    visibility_timeout_s: int
    max_receive_count: int | None


class SqsQueues:
    """`event_sources.surroundings.Queues`."""

    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock

    def find(self, queue_arn: str) -> PolledQueue | None:
        """The queue with this ARN, None when there is none."""
        queue = self._find(queue_arn)
        if queue is None:
            return None
        policy = queue.settings.redrive_policy
        return PolledQueue(
            visibility_timeout_s=queue.settings.visibility_timeout_s,
            max_receive_count=None if policy is None else redrive.parse_policy(policy).max_receive_count,
        )

    def refused_action(self, queue_arn: str, role_arn: str) -> str | None:
        """The first action that the queue's policy keeps from the role; roles' own policies are not evaluated.

        A queue of another account needs a policy that allows them all.
        """
        queue = self._find(queue_arn)
        if queue is None:
            return None
        caller = Caller(
            account=Arn.parse(role_arn).account, arn=assumed_role_arn(role_arn, _SESSION), user_id=f"AROA:{_SESSION}"
        )
        for action in _ACTIONS:
            try:
                access.check(queue, caller, action, self._clock)
            except AccessDenied:
                return action
        return None

    def _find(self, queue_arn: str) -> Queue | None:
        key = key_of_arn(queue_arn)
        return None if key is None else self._queues.find(key)
