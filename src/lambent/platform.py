"""The composition root: builds every part, hands each what it needs, starts and stops them in order.

The only module that knows everyone. Nothing here decides anything; a rule belongs into the room that it is about.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Protocol

from lambent.cloudwatch import api as cloudwatch_api
from lambent.cloudwatch import store as cloudwatch_store
from lambent.cloudwatch.recorder import Recorder
from lambent.core.arns import assumed_role_arn
from lambent.core.clock import Clock, SystemClock
from lambent.core.config import ServerConfig
from lambent.core.errors import UserFacingError
from lambent.core.operations import RequestContext
from lambent.core.owners import LeaseLost
from lambent.debug_api import DebugApi
from lambent.execution.activity import ActivityReader
from lambent.execution.admission import HostAdmission, HostRules
from lambent.execution.debugging import Debugging
from lambent.execution.engine import LocalEngine
from lambent.execution.host import HostReader
from lambent.execution.model import EnvironmentCredentials, FunctionVersion
from lambent.iam import api as iam_api
from lambent.iam import store as iam_store
from lambent.iam.roles import Roles
from lambent.internal_api import InternalApi
from lambent.lambda_ import migrations as lambda_migrations
from lambent.lambda_ import room as lambda_room
from lambent.lambda_.metrics import LambdaMetrics
from lambent.logs import api as logs_api
from lambent.logs import store as logs_store
from lambent.logs.news import News
from lambent.logs.query import LogReader
from lambent.logs.sink import DatabaseLogSink
from lambent.logs.sweeper import Sweeper
from lambent.metrics_page import MetricsPage
from lambent.queueing import schema as queueing_schema
from lambent.queueing.engine import QueueEngine
from lambent.sandbox import debug_plans
from lambent.sandbox.isolation import probe
from lambent.sandbox.launcher import Launcher
from lambent.sandbox.local import ProcessSandbox
from lambent.sandbox.protocol import Sandbox
from lambent.server.credentials import Credentials
from lambent.server.http import Endpoint, read_credentials
from lambent.server.protocol import ServiceModels
from lambent.server.registry import OperationRegistry
from lambent.sqs import store as sqs_store
from lambent.sqs.engine import SqsEngine
from lambent.sqs.model import Caller
from lambent.sqs.room import SqsRoom
from lambent.storage import leases, timekeeping
from lambent.storage.blobs import BlobStore
from lambent.storage.code_store import CodeStore
from lambent.storage.collector import Collector
from lambent.storage.database import Database, StorageError
from lambent.storage.group_commit import SqliteDatabase
from lambent.storage.opening import open_database
from lambent.sts import api as sts_api
from lambent.sts import principals

log = logging.getLogger("lambent.platform")


class Decorator(Protocol):
    """Stands between the platform and what does real work; `lambent.testing` holds its virtual clock there."""

    def database(self, database: Database) -> Database: ...
    def sandbox(self, sandbox: Sandbox) -> Sandbox: ...


class Platform:
    """One server process over one data directory.

    `clock` None means the system's clock, never below the largest time that the data directory has seen.
    """

    def __init__(self, config: ServerConfig, *, clock: Clock | None = None, decorator: Decorator | None = None) -> None:
        self._config = config
        self._given_clock = clock
        self._decorator = decorator
        self._parts = AsyncExitStack()  # what is started, to be closed in reverse
        self._endpoint: Endpoint | None = None
        self.registry = OperationRegistry(ServiceModels())

    @property
    def endpoint(self) -> str:
        """The base URL. Raises RuntimeError before `start`."""
        if self._endpoint is None:
            raise RuntimeError("the platform is not started")
        return self._endpoint.url

    async def start(self) -> None:
        """Build and start everything; returns once the endpoint answers.

        Raises UserFacingError for what the user must change. After a failure, call `stop` all the same.
        """
        try:
            await self._start()
        except (OSError, StorageError) as error:
            raise UserFacingError(f"cannot use the data directory {self._config.data}: {error}") from error
        except LeaseLost as lost:
            raise UserFacingError(
                f"the files in {self._config.data} do not belong together: restore all of them from one backup, "
                "or move logs.db away to go on without the functions' logs"
            ) from lost

    async def _start(self) -> None:
        config, parts = self._config, self._parts
        _raise_open_files_limit()
        data = await asyncio.to_thread(leases.hold, config.data)
        parts.callback(data.close)
        control_file = await open_database(
            config.data / leases.CONTROL_NAME,
            (*timekeeping.MIGRATIONS, *lambda_migrations.MIGRATIONS, *iam_store.MIGRATIONS),
            lease=data.lease,
        )
        parts.push_async_callback(control_file.close)
        # Functions' lines and metrics may lose their last moments in a power cut; waiting for the disk is for state.
        logs_file = await open_database(
            config.data / "logs.db",
            (*logs_store.MIGRATIONS, *cloudwatch_store.MIGRATIONS),
            synchronous="NORMAL",
            lease=data.lease,
        )
        parts.push_async_callback(logs_file.close)
        # Messages come and go by the thousand: no other state's commits wait for theirs, nor theirs for others'.
        queues_file = await open_database(
            config.data / "queues.db", (*queueing_schema.MIGRATIONS, *sqs_store.MIGRATIONS), lease=data.lease
        )
        parts.push_async_callback(queues_file.close)
        control = self._decorated(control_file)
        clock = self._given_clock or SystemClock(not_before=await control.read(timekeeping.largest_s))
        timekeeper = timekeeping.Timekeeper(control, clock)
        timekeeper.start()
        parts.push_async_callback(timekeeper.close)

        blobs = await asyncio.to_thread(BlobStore, config.data / "blobs", config.blob_quota_bytes)
        code = await asyncio.to_thread(CodeStore, blobs, config.data / "code")
        parts.push_async_callback(code.close)
        news = News()
        logs_database = self._decorated(logs_file)
        sink = DatabaseLogSink(logs_database, clock=clock, news=news, quota_bytes=config.log_quota_bytes)
        sink.start()
        parts.push_async_callback(sink.close)
        sweeper = Sweeper(logs_database, clock)
        sweeper.start()
        parts.push_async_callback(sweeper.close)

        credentials = read_credentials(config, clock)
        # Environments are real processes: their deadlines are real, whatever the clock of the platform.
        node_clock = clock if isinstance(clock, SystemClock) else SystemClock()
        endpoint = Endpoint(config=config, registry=self.registry, credentials=credentials, clock=clock)
        environments = ProcessSandbox(
            code,
            sink,
            node_clock,
            work_dir=config.data / "work",
            strict_runtimes=config.strict_runtimes,
            launcher=await _sandboxes(endpoint, config) if config.isolation == "sandbox" else None,
            sandboxed=config.isolation == "sandbox",
        )
        parts.push_async_callback(environments.close)
        engine = LocalEngine(
            self._decorator.sandbox(environments) if self._decorator else environments,
            clock=clock,
            node_clock=node_clock,
            endpoint_url=lambda: endpoint.local_url,
            mint_credentials=_minter(credentials),
            host=HostAdmission(
                read=HostReader().read, rules=HostRules.for_cores(os.cpu_count() or 1), clock=node_clock
            ),
            idle_timeout_s=config.idle_timeout_s,
            account_concurrency=config.account_concurrency,
            strict_aws=config.strict_aws,
            snapshots=environments,
        )
        debugging = Debugging(engine, environments.debug_ports, debugger_for=debug_plans.debugger_for)
        queues_database = self._decorated(queues_file)
        messages = await QueueEngine.open(queues_database, config.data / "messages", clock)
        parts.push_async_callback(messages.close)
        roles = Roles(control)
        queues = SqsRoom(
            database=queues_database,
            engine=SqsEngine(messages),
            clock=clock,
            callers=_Callers(credentials, roles),
            strict_aws=config.strict_aws,
        )
        await queues.start()
        parts.push_async_callback(queues.close)
        lambda_metrics = LambdaMetrics(ActivityReader(engine.metrics, engine.concurrency_of), clock)
        recorder = Recorder(logs_database, clock, lambda: [*lambda_metrics.take(), *queues.metrics.take()])
        recorder.start()
        parts.push_async_callback(recorder.close)
        parts.push_async_callback(engine.drain, 0.0)

        signing_key = os.urandom(32)  # of URLs that live for ten minutes: a restart ends them
        functions = lambda_room.LambdaRoom(
            database=control,
            engine=engine,
            blobs=blobs,
            code_store=code,
            clock=clock,
            signing_key=signing_key,
            account_concurrency=config.account_concurrency,
            snapshots=engine.snapshots,
            debugging=debugging,
        )
        collector = Collector(control, blobs, code, clock, references=lambda_room.referenced_blobs)
        await collector.collect()
        collector.start()
        parts.push_async_callback(collector.close)
        parts.push_async_callback(functions.close)
        self.registry.add_all(functions.operations)
        self.registry.add_all(iam_api.operations(control, clock))
        self.registry.add_all(sts_api.operations(credentials, roles))
        self.registry.add_all(queues.operations)
        self.registry.add_all(logs_api.operations(logs_database, clock, sink=sink, news=news, sweeper=sweeper))
        self.registry.add_all(cloudwatch_api.operations(logs_database, clock, recorder=recorder))

        InternalApi(
            config=config,
            engine=engine,
            sandbox=environments,
            logs=LogReader(logs_database, clock=clock, news=news, flush=sink.flush),
            databases=(control_file, logs_file, queues_file),
            blobs=blobs,
            folders=(messages.bodies,),
            signing_key=signing_key,
            clock=clock,
        ).mount(endpoint)
        MetricsPage(
            engine=engine,
            sink=sink,
            databases=(control_file, logs_file, queues_file),
            others=[queues.metrics.families],
            anonymous=config.auth_file is None,
        ).mount(endpoint)
        DebugApi(config=config, invoker=functions.invoker, debugging=debugging, clock=clock).mount(endpoint)
        await functions.start()
        await endpoint.start()
        self._endpoint = endpoint
        parts.push_async_callback(endpoint.stop, config.shutdown_grace_s)
        parts.push_async_callback(debugging.close)  # first: the grace is for functions that work, not for people
        await functions.provision()
        log.info("ready at %s, isolation %s, data in %s", endpoint.url, config.isolation, config.data)

    async def stop(self) -> None:
        """Stop accepting, finish what is in flight within the grace, commit, close. Safe after a failed start."""
        await self._parts.aclose()
        self._endpoint = None

    def _decorated(self, database: SqliteDatabase) -> Database:
        return self._decorator.database(database) if self._decorator else database


class _Callers:
    """Who signed a request, in SQS's words."""

    def __init__(self, credentials: Credentials, roles: Roles) -> None:
        self._credentials = credentials
        self._roles = roles

    async def identify(self, context: RequestContext) -> Caller:
        principal = principals.caller(context, self._credentials)
        user_id = await principals.user_id(principal, self._roles)
        return Caller(account=principal.account, arn=principal.arn, user_id=user_id)


def _raise_open_files_limit() -> None:
    """Every environment takes a few descriptors of ours; the usual soft limit of 1,024 is some 300 of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems forbid what they call the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def sandbox_ability() -> probe.Ability:
    """Whether this machine can run sandboxes."""
    return await probe.probe()


async def _sandboxes(endpoint: Endpoint, config: ServerConfig) -> Launcher:
    """Raises UserFacingError where sandboxes do not work."""
    ability = await probe.probe(egress=config.egress == "on")
    if ability.lack is not None:
        raise UserFacingError(
            f"functions cannot be sandboxed here: {ability.lack.what}; {ability.lack.fix}. "
            "The weaker way is --isolation process: no walls, as the server's own user (see lambent doctor)"
        )
    from lambent.sandbox.isolation.launcher import SandboxLauncher

    return SandboxLauncher(serve_endpoint=endpoint.serve, egress=config.egress == "on")


def _minter(credentials: Credentials) -> Callable[[FunctionVersion], EnvironmentCredentials]:
    """Credentials for one environment: they speak for the function's role, with the function's name as session."""

    def mint(function: FunctionVersion) -> EnvironmentCredentials:
        minted = credentials.mint(
            account=function.scope.account, principal_arn=assumed_role_arn(function.role_arn, function.name)
        )
        variables = {
            "AWS_ACCESS_KEY_ID": minted.access_key,
            "AWS_SECRET_ACCESS_KEY": minted.secret,
            "AWS_SESSION_TOKEN": minted.session_token or "",
        }
        return EnvironmentCredentials(variables=variables, revoke=lambda: credentials.revoke(minted.access_key))

    return mint
