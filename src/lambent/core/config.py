"""What the person who starts the server decides; everything else has one good default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Isolation = Literal["process", "sandbox"]
Egress = Literal["on", "off"]

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
DEFAULT_PORT = 4566


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Settings of one server process.

    `external_host` (`host[:port]`, may carry a scheme) appears in every URL that the server hands out.
    `egress` says whether sandboxed functions may connect to the outside.
    `auth_file` switches signature verification on. `strict_aws` answers and scales exactly as AWS does where the
    defaults are kinder; `strict_runtimes` refuses a runtime whose exact interpreter is missing.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    isolation: Isolation = "process"
    egress: Egress = "on"
    strict_aws: bool = False
    strict_runtimes: bool = False
    auth_file: Path | None = None
    external_host: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    idle_timeout_s: float = 600.0  # an environment that served nothing for so long is shut down
    shutdown_grace_s: float = 10.0
    blob_quota_bytes: int = 75 * 1024**3  # AWS's account storage limit
    log_quota_bytes: int = 2 * 1024**3
    account_concurrency: int = 1000
