"""The environment variables of a runtime (AWS documentation, "Using Lambda environment variables")."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lambent.sandbox.protocol import EnvironmentSpec

# Tells a runtime that it is to run several events at once.
MAX_CONCURRENCY = "AWS_LAMBDA_MAX_CONCURRENCY"
# PATH below what an interpreter brings.
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def defaults(spec: EnvironmentSpec, *, task_root: Path, opt: Path | None, runtime_bin: Path | None) -> dict[str, str]:
    """What a function may override with its own variables."""
    path = ":".join([str(runtime_bin)] if runtime_bin else []) or ""
    variables = {
        "LANG": "en_US.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "TZ": ":UTC",
        "PATH": ":".join(filter(None, [path, _SYSTEM_PATH, str(opt / "bin") if opt else ""])),
        "LD_LIBRARY_PATH": ":".join(
            filter(None, [str(task_root), str(task_root / "lib"), str(opt / "lib") if opt else ""])
        ),
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "PWD": str(task_root),
        "SHLVL": "0",
    }
    if spec.endpoint_url:
        variables["AWS_ENDPOINT_URL"] = spec.endpoint_url
    if spec.log_format == "JSON":
        variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        variables["AWS_LAMBDA_LOG_LEVEL"] = spec.application_log_level or "INFO"
    return variables


def reserved(spec: EnvironmentSpec, *, task_root: Path, runtime_dir: Path, tmp: Path) -> dict[str, str]:
    """What is always the platform's. TMPDIR is, because in process mode `/tmp` is the machine's and not private."""
    variables = {
        "_HANDLER": spec.handler,
        "AWS_REGION": spec.region,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_LAMBDA_FUNCTION_NAME": spec.function_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": spec.function_version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": spec.initialization_type,
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": spec.log_stream,
        "LAMBDA_TASK_ROOT": str(task_root),
        "LAMBDA_RUNTIME_DIR": str(runtime_dir),
        "TMPDIR": str(tmp),
    }
    if spec.concurrent:
        variables[MAX_CONCURRENCY] = str(spec.max_concurrency)
    if not spec.runtime.startswith("provided"):
        variables["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{spec.runtime}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if name in spec.credentials:
            variables[name] = spec.credentials[name]
    return variables


def merge(
    spec: EnvironmentSpec, defaults: Mapping[str, str], reserved: Mapping[str, str], private: Mapping[str, str]
) -> dict[str, str]:
    """All variables of a runtime: the function's own over the defaults, under what is reserved."""
    own = {
        name: value
        for name, value in spec.environment.items()
        if not name.startswith("_LAMBENT_") and name != MAX_CONCURRENCY
    }
    return {**defaults, **own, **reserved, **private}
