"""What the Lambda service hands to the execution engine, and what it gets back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Literal, Protocol

import msgspec

from lambent.core.operations import Scope
from lambent.sandbox.protocol import InitializationType, InvocationReport, LogFormat


class FunctionVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable function version as the engine needs it.

    Environments are interchangeable exactly when their versions have the same `key`. Every change of code or
    configuration makes a new key; the environments of the old one finish their events and end.
    """

    key: str  # e.g. "<qualified arn>#<revision of code and configuration>"
    scope: Scope
    name: str
    version: str
    arn: str  # unqualified
    runtime: str
    handler: str
    code: str  # hex SHA-256
    layers: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    role_arn: str = ""
    memory_mb: int = 128
    timeout_s: float = 3.0
    ephemeral_storage_mb: int = 512
    log_group: str = ""
    log_format: LogFormat = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None
    initialization_type: InitializationType = "on-demand"
    max_concurrency: int = 1  # events that one environment serves at a time
    runtime_version_arn: str = ""
    debug_port: str = ""  # see `debugging`

    @property
    def concurrent(self) -> bool:
        """Whether its environments serve several events at once, or live by the rules of those that do."""
        return self.max_concurrency > 1 or self.initialization_type == "lambda-managed-instances"


class InvokeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as the caller sent it."""

    request_id: str
    payload: bytes
    invoked_function_arn: str
    client_context: str = ""
    cognito_identity: str = ""
    trace_id: str = ""
    tenant_id: str = ""
    streaming: bool = False


class InvokeResult(Protocol):
    """The answer to one event; same meaning as `sandbox.protocol.Response`."""

    @property
    def function_error(self) -> str | None: ...
    @property
    def content_type(self) -> str: ...
    @property
    def streaming(self) -> bool: ...
    def body(self) -> AsyncIterator[bytes]: ...
    async def read(self) -> bytes: ...
    async def report(self) -> InvocationReport: ...


class EnvironmentCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials of one environment: the variables that it sees, and what ends them with it."""

    variables: Mapping[str, str]
    revoke: Callable[[], None]


class ProvisionedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The provisioned concurrency of one version: what is asked for and what is initialised.

    `available` counts initialised environments, those that serve an event (`in_use`) too. `status_reason` says why it
    is FAILED; then starts are still tried, ever more seldom. `limited_by` is the limit of this machine that binds.
    """

    requested: int
    available: int
    in_use: int
    status: Literal["IN_PROGRESS", "READY", "FAILED"]
    status_reason: str | None = None
    limited_by: str | None = None


class Throttled(Exception):
    """No environment may serve this event now.

    `reason` is one of AWS's ThrottleReasons; `detail` says in words which limit binds, also where that is this
    machine's memory or process limit rather than a quota.
    """

    def __init__(self, reason: str, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s


class Snapshots(Protocol):
    """What `lambda_` needs of `execution` for SnapStart."""

    async def take(self, function: FunctionVersion) -> str:
        """Initialise the version and keep that for its environments to start from.

        Waits for room on this machine. Returns "" or, in words, why the version goes without. Raises
        `sandbox.protocol.SnapshotFailed` when its init fails, and CannotRun.
        """


class Engine(Protocol):
    """What `lambda_` needs of `execution`."""

    async def invoke(self, function: FunctionVersion, request: InvokeRequest) -> InvokeResult:
        """Run one event on an idle or a new environment of `function`.

        Raises Throttled, and `sandbox.protocol.CannotRun` when no machine can run this runtime.
        Failures of the function itself are results, not exceptions.
        """

    def set_reserved_concurrency(self, function_arn: str, limit: int | None) -> None:
        """Reserve `limit` concurrent executions for all versions of the function (0 blocks it; None lifts it)."""

    def set_account_concurrency(self, scope: Scope, limit: int) -> None: ...

    def set_provisioned_concurrency(self, function: FunctionVersion, wanted: int) -> None:
        """Keep `wanted` environments of this version initialised (0: none), with as many places set aside for it."""

    def provisioned_concurrency(self, key: str) -> ProvisionedStatus | None:
        """What is kept initialised of this version key, None when nothing is asked for."""

    def retire(self, key: str) -> None:
        """End the environments of this version key, kept ones too: idle ones now, busy ones after their event."""
