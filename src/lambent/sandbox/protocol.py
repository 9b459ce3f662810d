"""The small streaming message protocol between the platform and whatever runs environments.

`execution` talks to a `Sandbox` only through this module, on this machine too: a Ray actor or another host
implements the same three calls with the same messages. Every message is plain data.

Life of an environment:  start -> (ready | StartFailed) -> invoke* -> stop.  One environment runs one event
at a time. After a timeout or a crash the environment is *reset*: the next invoke initialises a new process with the
same /tmp and log stream. One that is `concurrent` runs up to `max_concurrency` events at a time and is never reset.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import msgspec

InitializationType = Literal["on-demand", "provisioned-concurrency", "snap-start", "lambda-managed-instances"]
LogFormat = Literal["Text", "JSON"]
ShutdownReason = Literal["spindown", "timeout", "failure"]


class EnvironmentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to start one execution environment of one function version."""

    environment_id: str
    account: str
    region: str
    function_name: str
    function_version: str  # "$LATEST" or a number
    function_arn: str  # unqualified
    runtime: str  # AWS's runtime id: "python3.13", "provided.al2023"
    handler: str
    code: str  # hex SHA-256 of the package; a `CodeSource` turns it into a folder
    layers: tuple[str, ...] = ()  # hex SHA-256 of layer packages, in merge order
    environment: Mapping[str, str] = {}  # the function's own variables
    credentials: Mapping[str, str] = {}  # AWS_ACCESS_KEY_ID, ... minted for this environment
    endpoint_url: str = ""  # AWS_ENDPOINT_URL that the function sees
    memory_mb: int = 128
    timeout_s: float = 3.0
    ephemeral_storage_mb: int = 512
    log_group: str = ""
    log_stream: str = ""
    log_format: LogFormat = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None
    initialization_type: InitializationType = "on-demand"
    max_concurrency: int = 1  # events at a time: see `concurrent`
    runtime_version_arn: str = ""
    snapshot: str = ""  # SnapStart: the key of the version's snapshot, from which it starts where there is one
    debug_port: str = ""  # id of the port whose debugger the runtime waits for, inside its first event

    @property
    def concurrent(self) -> bool:
        """Whether it lives by the rules of environments that run several events at once, as AWS's managed instances do.

        A timeout ends an event and leaves its handler running; when the runtime ends, the environment does.
        """
        return self.max_concurrency > 1 or self.initialization_type == "lambda-managed-instances"


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one environment. `deadline_ms` is epoch milliseconds on the machine that runs it."""

    request_id: str
    payload: bytes
    invoked_function_arn: str
    deadline_ms: int
    timeout_s: float
    trace_id: str = ""
    client_context: str = ""  # decoded JSON text
    cognito_identity: str = ""
    tenant_id: str = ""
    streaming: bool = False  # the caller takes the answer as it is produced


class InvocationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one run cost and said. Known once the environment is ready for its next event."""

    duration_ms: float
    billed_duration_ms: int
    memory_mb: int
    max_memory_used_mb: int
    init_duration_ms: float | None = None  # None on a warm start
    log_tail: bytes = b""  # the last 4,096 bytes of START..REPORT


class Response(Protocol):
    """What came back for one event. `body` may be read once; `report` resolves after the body's end."""

    @property
    def function_error(self) -> str | None:
        """`Unhandled`, or None. For a streamed answer the error of what came before the first byte."""

    @property
    def content_type(self) -> str: ...

    @property
    def streaming(self) -> bool:
        """Whether the runtime answered in streaming mode."""

    def body(self) -> AsyncIterator[bytes]:
        """The answer's bytes as they come. Raises `StreamBroken` when a streamed answer fails midway."""

    async def read(self) -> bytes:
        """The whole answer."""

    async def report(self) -> InvocationReport: ...


class StreamBroken(Exception):
    """A streamed answer ended with an error: `error_type` and the error JSON that the runtime gave."""

    def __init__(self, error_type: str, error_body: bytes) -> None:
        super().__init__(error_type)
        self.error_type = error_type
        self.error_body = error_body


class StartRefused(Exception):
    """The machine will not take another environment now (`reason` says which of its limits binds)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CannotRun(Exception):
    """This machine cannot run such a function at all (no interpreter, unknown runtime); says what is missing."""


class SnapshotFailed(Exception):
    """The init of the version that a snapshot was to be taken of has failed, with this error."""

    def __init__(self, error_type: str, detail: str) -> None:
        super().__init__(f"{error_type}: {detail}")
        self.error_type = error_type
        self.detail = detail


class RestoreFailed(Exception):
    """An environment could not be restored from its snapshot: an after-restore hook failed, or time was over."""

    def __init__(self, error_type: str, *, timeout: bool) -> None:
        super().__init__(error_type)
        self.timeout = timeout


class Environment(Protocol):
    """One running execution environment."""

    @property
    def environment_id(self) -> str: ...

    @property
    def alive(self) -> bool:
        """False once it has ended and can serve no more."""

    @property
    def initialised(self) -> bool:
        """Asked between events: whether a runtime waits for the next one.

        False when the init failed or has run out of time, and after a crash or a timeout: the next event begins with an
        init of its own.
        """

    @property
    def places(self) -> int:
        """How many events it can run at a time as things are, those under way included; at most its max_concurrency.

        A concurrent environment may have fewer places than it was asked for: what its runtime offers, without those
        where a handler still runs after its time was over.
        """

    async def invoke(self, invocation: Invocation) -> Response:
        """Run one event; returns at the first byte of the answer.

        Whatever goes wrong inside (handler error, crash, timeout, failed init) is a `Response` with `function_error`
        set and AWS's error JSON as body. Cancelling the call kills the process: no event runs on unobserved. (In a
        concurrent environment, where others run too, it ends the event as a timeout does.)
        """

    async def stop(self, reason: ShutdownReason) -> None:
        """End it with all its processes and remove its /tmp. Idempotent."""


class Sandbox(Protocol):
    """Runs environments on one machine."""

    async def start(self, spec: EnvironmentSpec) -> Environment:
        """Start an environment; returns when it can take an event.

        A failed or slow init does not fail the start: AWS repeats it inside the first invoke, and so does the
        environment. Raises StartRefused (try elsewhere or throttle) and CannotRun.
        """

    async def close(self) -> None:
        """Stop every environment and leave nothing behind."""


class SnapshotSandbox(Protocol):
    """SnapStart on one machine: what a `Sandbox` does besides, where it can."""

    async def take_snapshot(self, spec: EnvironmentSpec) -> str:
        """Initialise the version once, and start environments with this `spec.snapshot` from that until it is dropped.

        Returns "" or, in words, why environments of this version cannot be started from a snapshot and go on to be
        started one by one. Raises SnapshotFailed when its init fails, StartRefused and CannotRun.
        """

    def has_snapshot(self, key: str) -> bool:
        """Whether environments start from a snapshot now, or it is known that they cannot."""

    def drop_snapshot(self, key: str) -> None:
        """Give the snapshot up. Environments that were started from it live on."""


class CodeSource(Protocol):
    """Where a sandbox gets code from."""

    async def folder(self, sha256: str) -> Path:
        """The read-only folder with the unpacked package. Raises KeyError when there is no such package."""


OnExit = Callable[[str], Awaitable[None]]
