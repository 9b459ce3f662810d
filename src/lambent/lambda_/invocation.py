"""Invoking a function: from name, qualifier and payload to the engine's answer, checks in AWS's order."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from lambent.core.operations import Scope
from lambent.execution.debugging import Debugging, Wish
from lambent.execution.model import Engine, InvokeRequest, InvokeResult, Throttled
from lambent.lambda_ import lineage
from lambent.lambda_.aliases import choose
from lambent.lambda_.directory import Directory, Runnable, Target
from lambent.lambda_.errors import (
    RECURSIVE_LOOP,
    InvalidRuntime,
    RecursiveInvocation,
    ResourceConflict,
    SnapStartFault,
    SnapStartNotReady,
    SnapStartTimeout,
    TooManyRequests,
)
from lambent.lambda_.names import FunctionReference
from lambent.lambda_.payloads import event_of
from lambent.sandbox.protocol import CannotRun, RestoreFailed

log = logging.getLogger("lambent.lambda.invocation")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One request to run a function, whoever asks. Empty strings mean absent."""

    scope: Scope
    name: str
    qualifier: str | None
    payload: bytes
    request_id: str
    trace_id: str = ""
    client_context: str = ""
    streaming: bool = False
    debug: Wish | None = None


class Invoked(msgspec.Struct, frozen=True, kw_only=True):
    """The function ran (or is running, while the result's body is still coming)."""

    executed_version: str
    result: InvokeResult


class Invoker:
    """Runs functions for everyone in this process: the API, and whatever delivers events to functions."""

    def __init__(
        self,
        *,
        directory: Directory,
        engine: Engine,
        random: Callable[[], float],
        debugging: Debugging | None = None,
    ) -> None:
        self._directory = directory
        self._engine = engine
        self._debugging = debugging
        self._random = random

    async def find(self, reference: FunctionReference) -> Target:
        """What the name stands for. Raises ResourceNotFound."""
        return await self._directory.find(reference.scope, reference.name, reference.qualifier)

    async def check(self, event: Event) -> tuple[Runnable, InvokeRequest]:
        """The checks that come before an environment is asked for; what would run, and on what.

        Raises ResourceNotFound, ResourceConflict (not active yet), RecursiveInvocation and InvalidRequestContent, in
        this order.
        """
        target = await self._directory.find(event.scope, event.name, event.qualifier)
        chosen = choose(target.primary, target.others, self._random()) if target.others else target.primary
        if chosen.state == "Pending" and chosen.function.initialization_type == "snap-start":
            raise SnapStartNotReady(
                "Lambda is initializing your function. It will be ready to invoke once your function state becomes "
                "ACTIVE."
            )
        if chosen.state != "Active":
            raise ResourceConflict(
                "The operation cannot be performed at this time. The function is currently in the following state: "
                f"{chosen.state}"
            )
        trace_id, runs = lineage.advance(event.trace_id, target.lineage_id)
        if runs >= lineage.LOOP_LIMIT and not target.loops_allowed:
            log.warning("%s has run %d times in one chain of requests and is not run again", target.invoked_arn, runs)
            raise RecursiveInvocation(RECURSIVE_LOOP)
        return chosen, InvokeRequest(
            request_id=event.request_id,
            payload=event_of(event.payload),
            invoked_function_arn=target.invoked_arn,
            client_context=event.client_context,
            trace_id=trace_id,
            streaming=event.streaming,
        )

    async def invoke(self, event: Event) -> Invoked:
        """Run the event; returns at the first byte of the answer, function errors included.

        Raises as `check`, and TooManyRequests with AWS's Reason, InvalidRuntime when no machine here can run it.
        """
        chosen, request = await self.check(event)
        debugging = self._debugging
        try:
            if debugging is not None and (event.debug is not None or debugging.wants(chosen.function.arn)):
                result = await debugging.invoke(chosen.function, request, event.debug)
            else:
                result = await self._engine.invoke(chosen.function, request)
        except Throttled as throttled:
            raise _too_many_requests(throttled) from throttled
        except CannotRun as error:
            raise InvalidRuntime(str(error)) from error
        except RestoreFailed as failed:
            raise _not_restored(failed) from failed
        return Invoked(executed_version=chosen.function.version, result=result)


def _not_restored(failed: RestoreFailed) -> SnapStartFault | SnapStartTimeout:
    if failed.timeout:
        return SnapStartTimeout("Lambda couldn't restore the snapshot within the timeout limit.")
    return SnapStartFault(
        "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs."
    )


def _too_many_requests(throttled: Throttled) -> TooManyRequests:
    headers = {"x-lambent-detail": throttled.detail}  # AWS's text is fixed; which limit binds is said here
    if throttled.retry_after_s is not None:
        headers["Retry-After"] = str(throttled.retry_after_s)
    return TooManyRequests("Rate Exceeded.", members={"Reason": throttled.reason}, headers=headers)
