"""What Lambda keeps: functions, their versions and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from lambent.core.arns import function_arn
from lambent.core.operations import Scope
from lambent.lambda_.layer_resolver import ResolvedLayer
from lambent.lambda_.service import LATEST
from lambent.sandbox.protocol import LogFormat

State = Literal["Pending", "Active", "Failed"]
UpdateStatus = Literal["InProgress", "Successful", "Failed"]

LATEST_NUMBER = 0  # the number under which $LATEST is stored


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment package in the blob store."""

    sha256: str  # hex, of the zip
    zip_bytes: int
    unzipped_bytes: int


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """LoggingConfig. The levels exist with JSON only."""

    log_group: str
    log_format: LogFormat = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What UpdateFunctionConfiguration changes and PublishVersion freezes."""

    role: str
    logging: Logging
    runtime: str
    handler: str
    description: str = ""
    timeout_s: int = 3
    memory_mb: int = 128
    environment: Mapping[str, str] | None = None  # None: the answer has no Environment
    layers: tuple[ResolvedLayer, ...] = ()
    ephemeral_storage_mb: int = 512
    tracing_mode: str = "PassThrough"
    architecture: str = "x86_64"
    snap_start: Literal["None", "PublishedVersions"] = "None"
    max_concurrency: int = 1  # events that one environment serves at a time; no operation sets it yet


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """State and LastUpdateStatus, each with its reason. No `last_update` until the function was first active."""

    state: State
    state_reason: str | None = None
    state_reason_code: str | None = None
    last_update: UpdateStatus | None = None
    last_update_reason: str | None = None
    last_update_reason_code: str | None = None

    @property
    def changing(self) -> bool:
        """Whether a create or an update is under way, which refuses any further change."""
        return self.state == "Pending" or self.last_update == "InProgress"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """`$LATEST` or a published version of a function.

    `deployment_id` changes with code and configuration only, `revision_id` with everything that AWS counts as a change
    (states and policies too).
    """

    scope: Scope
    name: str
    number: int  # LATEST_NUMBER for $LATEST
    package: Package
    configuration: Configuration
    status: Status
    revision_id: str
    deployment_id: str
    last_modified: float  # epoch seconds

    @property
    def version(self) -> str:
        """As AWS shows it: `$LATEST` or the number."""
        return LATEST if self.number == LATEST_NUMBER else str(self.number)

    @property
    def snapshotted(self) -> bool:
        """Whether its environments start from a snapshot of its own."""
        return self.number != LATEST_NUMBER and self.configuration.snap_start == "PublishedVersions"

    @property
    def arn(self) -> str:
        """The unqualified function ARN."""
        return function_arn(self.scope, self.name)

    @property
    def qualified_arn(self) -> str:
        return function_arn(self.scope, self.name, self.version)


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A named pointer to one version, or by weight to two."""

    scope: Scope
    function_name: str
    name: str
    function_version: str  # "$LATEST" or a number
    revision_id: str
    description: str = ""
    weights: Mapping[str, float] = {}  # AdditionalVersionWeights

    @property
    def arn(self) -> str:
        return function_arn(self.scope, self.function_name, self.name)


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function as a whole: its `$LATEST`, and what invokes run while an update of it is in progress."""

    latest: Version
    serving: Version | None  # None: `latest` itself
    last_number: int  # the highest version number ever published; numbers are never used again

    @property
    def arn(self) -> str:
        return self.latest.arn
