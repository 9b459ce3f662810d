"""The engine on one machine: admits an event, finds it an environment, and sees it through to its report.

Each event runs in a task of the engine, not of its caller. AWS lets a synchronous invoke run to its end when the client
goes away; so does this: cancelling `invoke` abandons the answer, never the event, and the environment returns to the
pool as always. The task is needed anyway, since an environment is free only some time after its answer has gone out.

What a warm event costs: one look at the counts, one pop from the idle ones, one task. No lock, no disk, no process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from lambent.core import ids
from lambent.core.clock import Clock
from lambent.core.operations import Scope
from lambent.core.tasks import Supervisor
from lambent.execution import status
from lambent.execution.admission import HostAdmission
from lambent.execution.aws_rates import AwsRates
from lambent.execution.concurrency import CONCURRENCY_EXCEEDED, Admission, Concurrency, Refusal
from lambent.execution.concurrent_pool import ConcurrentPool
from lambent.execution.metrics import FunctionCounters, Metrics
from lambent.execution.model import (
    EnvironmentCredentials,
    FunctionVersion,
    InvokeRequest,
    InvokeResult,
    ProvisionedStatus,
    Throttled,
)
from lambent.execution.pool import Pool, PooledEnvironment, Started
from lambent.execution.provisioned import Provisioner
from lambent.execution.results import StreamedResult
from lambent.execution.room import Room
from lambent.execution.snapshots import Snapshots
from lambent.sandbox.protocol import (
    CannotRun,
    Environment,
    EnvironmentSpec,
    Invocation,
    Response,
    Sandbox,
    SnapshotSandbox,
    StartRefused,
)

log = logging.getLogger("lambent.execution")

MintCredentials = Callable[[FunctionVersion], EnvironmentCredentials]

# After `drain` has killed what would not end: how long the callers' answers may take to get out.
_LAST_ANSWERS_S: Final = 1.0


class LocalEngine:
    """`execution.model.Engine` over one sandbox. Build it and use it on one event loop.

    `endpoint_url` gives what functions see as AWS_ENDPOINT_URL; it is asked at each start, since the port may be known
    only once the server listens. `clock` decides idleness and AWS's rates. `node_clock` is the clock of the machine
    that runs the environments: their deadlines and the time they have to end are real even where `clock` is virtual.
    `strict_aws` enforces AWS's scaling and request rates. `snapshots` is the same sandbox where it can take them.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        clock: Clock,
        endpoint_url: Callable[[], str],
        mint_credentials: MintCredentials,
        host: HostAdmission,
        node_clock: Clock | None = None,
        idle_timeout_s: float = 600.0,
        account_concurrency: int = 1000,
        strict_aws: bool = False,
        snapshots: SnapshotSandbox | None = None,
        new_uuid: ids.IdSource = ids.new_uuid,
        new_hex: ids.IdSource = ids.new_hex,
    ) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self._node_clock = node_clock or clock
        self._endpoint_url = endpoint_url
        self._mint_credentials = mint_credentials
        self._host = host
        self._room = Room(host, self._node_clock, self._idle_longest)
        self._idle_timeout_s = idle_timeout_s
        self._new_uuid = new_uuid
        self._new_hex = new_hex
        self._concurrency = Concurrency(default_limit=account_concurrency)
        self._rates = AwsRates(clock) if strict_aws else None
        self._metrics = Metrics()
        self._pools: dict[str, Pool] = {}
        self._retiring: set[Pool] = set()
        self._provisioners: dict[str, Provisioner] = {}  # by version key
        self._tasks = Supervisor("execution")
        self.snapshots: Snapshots | None = None
        if snapshots is not None:
            self.snapshots = Snapshots(
                snapshots,
                spec=self._spec,
                mint_credentials=mint_credentials,
                room=self._room,
                clock=self._node_clock,
                tasks=self._tasks,
            )
        self._reaping = False
        self._in_flight = 0
        self._no_events = asyncio.Event()
        self._no_events.set()
        self._draining = False

    @property
    def metrics(self) -> Metrics:
        return self._metrics

    def concurrency_of(self, function_arn: str) -> int:
        """How many events of the function (unqualified ARN) are running."""
        return self._concurrency.in_flight(function_arn)

    def environments(self) -> Mapping[str, Mapping[str, int]]:
        """How many environments are in each state, by function (unqualified ARN)."""
        return status.environments([*self._pools.values(), *self._retiring])

    async def invoke(self, function: FunctionVersion, request: InvokeRequest) -> InvokeResult:
        """Run one event; returns at the first byte of the answer.

        Raises Throttled, and CannotRun when this machine cannot run the runtime. Failures of the function are results.
        """
        counters = self._metrics.of(function.arn)
        try:
            place = self._admit(function)
        except Throttled as error:
            counters.throttled(error.reason, error.detail, self._clock.monotonic())
            raise
        concurrency = self._concurrency.in_flight(function.arn)
        if concurrency > counters.peak_concurrency:
            counters.peak_concurrency = concurrency
        # A tenant's environments serve that tenant alone.
        key = function.key if not request.tenant_id else f"{function.key}\0{request.tenant_id}"
        pool = self._pools.get(key) or self._open_pool(key, function)
        answer: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        pool.events += 1
        self._in_flight += 1
        self._no_events.clear()
        self._tasks.spawn(self._run(pool, pool.try_acquire(), request, place, counters, answer), "event")
        try:
            return await answer
        except asyncio.CancelledError:
            counters.abandoned += 1
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                result = answer.result()
                if isinstance(result, StreamedResult):
                    result.abandon()
            raise

    def set_reserved_concurrency(self, function_arn: str, limit: int | None) -> None:
        self._concurrency.set_reserved(function_arn, limit)

    def set_account_concurrency(self, scope: Scope, limit: int) -> None:
        self._concurrency.set_account_limit(scope, limit)

    def set_provisioned_concurrency(self, function: FunctionVersion, wanted: int) -> None:
        """Keep `wanted` environments of this version initialised (0: none), with as many places set aside for it.

        They come up in the background, see `provisioned_concurrency`. Asking again tries at once what has failed.
        Raises ValueError for a version whose environments serve several events at once: AWS knows no such thing.
        """
        if wanted and function.concurrent:
            raise ValueError("environments that serve several events at once are not kept as provisioned concurrency")
        self._concurrency.set_provisioned(function.arn, function.version, wanted)
        provisioner = self._provisioners.get(function.key)
        if not wanted:
            if provisioner is not None:
                del self._provisioners[function.key]
                provisioner.close()
            return
        if provisioner is None:
            pool = self._pools.get(function.key) or self._open_pool(function.key, function)
            provisioner = Provisioner(pool, node_clock=self._node_clock, tasks=self._tasks)
            self._provisioners[function.key] = provisioner
        provisioner.want(wanted)

    def provisioned_concurrency(self, key: str) -> ProvisionedStatus | None:
        """What is kept initialised of this version key, None when nothing is asked for."""
        provisioner = self._provisioners.get(key)
        return None if provisioner is None else provisioner.status

    def retire(self, key: str) -> None:
        """End the environments of this version key, provisioned ones too: idle ones now, busy ones after their event.

        An invoke that still comes with the old key gets an environment of its own, which ends by idleness.
        """
        if (provisioner := self._provisioners.get(key)) is not None:
            self.set_provisioned_concurrency(provisioner.pool.function, 0)
        if self.snapshots is not None:
            self.snapshots.drop(key)
        for pool_key in [name for name, pool in self._pools.items() if pool.function.key == key]:
            pool = self._pools.pop(pool_key)
            self._retiring.add(pool)
            pool.retire()

    def status(self) -> Mapping[str, object]:
        """Plain data: the limits, what runs within them, and what limits each function right now."""
        return status.describe(
            pools=[*self._pools.values(), *self._retiring],
            concurrency=self._concurrency,
            metrics=self._metrics,
            host=self._host,
            now_s=self._clock.monotonic(),
            strict_aws=self._rates is not None,
            provisioners=list(self._provisioners.values()),
        )

    async def drain(self, grace_s: float) -> None:
        """Refuse new events, wait up to `grace_s` for those under way, then end every environment."""
        self._draining = True
        for provisioner in self._provisioners.values():
            provisioner.close()
        await self._wait_for_events(grace_s)
        pools = [*self._pools.values(), *self._retiring]
        await asyncio.gather(*(pool.stop("spindown") for pool in pools))
        # Events whose environment was just ended still have an answer to give: the error of a killed function.
        await self._wait_for_events(_LAST_ANSWERS_S)
        await self._tasks.close()

    # One event

    def _admit(self, function: FunctionVersion) -> Admission:
        if self._draining:
            raise _shutting_down()
        if self._rates is not None:
            limit = self._concurrency.limit(function.arn)
            if limit:  # a blocked function is told so, not that it is too fast
                reserved = self._concurrency.reserved(function.arn) is not None
                self._rates.admit_request(function.arn, limit, reserved=reserved)
        place = self._concurrency.try_admit(function.arn, function.version)
        if isinstance(place, Refusal):
            raise Throttled(place.reason, place.detail)
        return place

    async def _run(
        self,
        pool: Pool,
        pooled: PooledEnvironment | None,
        request: InvokeRequest,
        place: Admission,
        counters: FunctionCounters,
        answer: asyncio.Future[InvokeResult],
    ) -> None:
        try:
            while pooled is None or (pooled.events and not pooled.usable):
                if pooled is not None:  # it died between being handed out and now
                    dead, pooled = pooled, None
                    pool.release(dead)
                pooled = await pool.acquire()
            counters.invocations += 1
            if pooled.kept:
                counters.provisioned_invocations += 1
            elif pool.on_kept is not None:
                counters.spillover_invocations += 1
            pooled.events += 1
            response = await pooled.environment.invoke(self._invocation(pool.function, request))
            if not response.streaming:
                # The caller may send its next event before the environment is ready for it: that is no second
                # concurrent execution, and the pool gives such an event this same environment.
                place.release()
                pool.answered(pooled)
            self._give(response, answer)
            await self._settle(response, pooled, counters)
        except asyncio.CancelledError:
            if not answer.done():
                answer.set_exception(_shutting_down())
            raise
        except Exception as error:  # the edge of the task: the caller gets it, or else the supervisor logs it
            if isinstance(error, Throttled):
                counters.throttled(error.reason, error.detail, self._clock.monotonic())
            if pooled is not None:
                pooled.failed = True
            if not answer.done():
                answer.set_exception(error)
            elif not isinstance(error, Throttled | CannotRun):  # those need nobody's attention once the caller is gone
                raise
        finally:
            place.release()
            if pooled is not None:
                pool.release(pooled)
            pool.leave()
            self._in_flight -= 1
            if not self._in_flight:
                self._no_events.set()

    def _give(self, response: Response, answer: asyncio.Future[InvokeResult]) -> None:
        result: InvokeResult = StreamedResult(response, self._tasks) if response.streaming else response
        if not answer.done():
            answer.set_result(result)
        elif isinstance(result, StreamedResult):
            result.abandon()

    async def _settle(self, response: Response, pooled: PooledEnvironment, counters: FunctionCounters) -> None:
        report = await response.report()
        if response.function_error is not None:
            counters.errors += 1
        counters.durations.observe(report.duration_ms)
        if report.init_duration_ms is not None:
            counters.inits.observe(report.init_duration_ms)
        if pooled.events == 1:
            counters.cold_starts += not pooled.kept
            pooled.reservation.settled(report.max_memory_used_mb)

    def _invocation(self, function: FunctionVersion, request: InvokeRequest) -> Invocation:
        # The function's time starts now: neither the wait for an environment nor its start counts.
        return Invocation(
            request_id=request.request_id,
            payload=request.payload,
            invoked_function_arn=request.invoked_function_arn,
            deadline_ms=int((self._node_clock.now() + function.timeout_s) * 1000),
            timeout_s=function.timeout_s,
            trace_id=request.trace_id,
            client_context=request.client_context,
            cognito_identity=request.cognito_identity,
            tenant_id=request.tenant_id,
            streaming=request.streaming,
        )

    # Environments

    def _open_pool(self, key: str, function: FunctionVersion) -> Pool:
        def on_empty(pool: Pool) -> None:
            self._retiring.discard(pool)
            if pool.on_kept is not None:
                return  # more of its environments are about to start
            if self._pools.get(key) is pool:
                del self._pools[key]
            if pool.retired:
                self._host.forget(pool.function.key)

        if not self._reaping:
            self._reaping = True
            self._tasks.spawn(self._reap(), "reaper")
        kind = ConcurrentPool if function.concurrent else Pool
        pool = self._pools[key] = kind(
            function,
            launch=self._launch,
            clock=self._clock,
            node_clock=self._node_clock,
            tasks=self._tasks,
            on_empty=on_empty,
        )
        return pool

    async def _launch(self, function: FunctionVersion, wanted: Callable[[], bool]) -> Started | None:
        snap_start = function.initialization_type == "snap-start"
        if self._rates is not None and (snap_start or function.initialization_type == "on-demand"):
            self._rates.admit_environment(function.arn)
        reservation = await self._room.reserve(function, wanted)
        if reservation is None:
            return None
        if snap_start and self.snapshots is not None:
            self.snapshots.used(function)
        credentials = self._mint_credentials(function)
        try:
            environment = await self._start(self._spec(function, credentials.variables))
        except BaseException as error:
            reservation.release()
            credentials.revoke()
            if isinstance(error, StartRefused):
                raise Throttled(CONCURRENCY_EXCEEDED, f"this machine: {error.reason}", retry_after_s=1) from error
            raise
        reservation.started()
        return Started(environment, reservation, credentials.revoke)

    async def _start(self, spec: EnvironmentSpec) -> Environment:
        try:
            return await self._sandbox.start(spec)
        except StartRefused as error:
            # A process that was prepared for it may have died just then: that is no reason to refuse an event.
            log.warning("an environment of %s did not start and is started anew: %s", spec.function_name, error.reason)
            return await self._sandbox.start(spec)

    def _idle_longest(self) -> Pool | None:
        """The pool with the environment that has been idle longest."""
        idle = [pool for pool in self._pools.values() if pool.oldest_idle_s is not None]
        return min(idle, key=lambda pool: pool.oldest_idle_s or 0.0, default=None)

    def _spec(self, function: FunctionVersion, credentials: Mapping[str, str]) -> EnvironmentSpec:
        today = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y/%m/%d")
        return EnvironmentSpec(
            environment_id=self._new_uuid(),
            account=function.scope.account,
            region=function.scope.region,
            function_name=function.name,
            function_version=function.version,
            function_arn=function.arn,
            runtime=function.runtime,
            handler=function.handler,
            code=function.code,
            layers=function.layers,
            environment=function.environment,
            credentials=credentials,
            endpoint_url=self._endpoint_url(),
            memory_mb=function.memory_mb,
            timeout_s=function.timeout_s,
            ephemeral_storage_mb=function.ephemeral_storage_mb,
            log_group=function.log_group,
            log_stream=f"{today}/[{function.version}]{self._new_hex()}",
            log_format=function.log_format,
            application_log_level=function.application_log_level,
            system_log_level=function.system_log_level,
            initialization_type=function.initialization_type,
            snapshot=function.key if function.initialization_type == "snap-start" else "",
            max_concurrency=function.max_concurrency,
            runtime_version_arn=function.runtime_version_arn,
            debug_port=function.debug_port,
        )

    async def _reap(self) -> None:
        """The one sweep over all pools: wakes when the environment that is idle longest is due, or once a timeout.

        One that goes idle after this has looked is due no earlier than the next wake-up.
        """
        # Many that are due one shortly after the other go in one sweep.
        granularity_s = min(1.0, self._idle_timeout_s / 10)
        while True:
            now_s = self._clock.monotonic()
            for pool in list(self._pools.values()):
                pool.reap(now_s - self._idle_timeout_s)
            self._concurrency.prune()
            if self.snapshots is not None:
                self.snapshots.sweep()
            if self._rates is not None:
                self._rates.prune()
            oldest = self._idle_longest()
            oldest_s = now_s if oldest is None or oldest.oldest_idle_s is None else oldest.oldest_idle_s
            await self._clock.sleep(max(oldest_s + self._idle_timeout_s - now_s, granularity_s))

    async def _wait_for_events(self, timeout_s: float) -> None:
        try:
            await self._node_clock.wait_for(self._no_events.wait(), timeout_s)
        except TimeoutError:
            return


def _shutting_down() -> Throttled:
    return Throttled(CONCURRENCY_EXCEEDED, "the server is shutting down", retry_after_s=1)
