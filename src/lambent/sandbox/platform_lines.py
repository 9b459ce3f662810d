"""The lines that the platform writes around an invocation, as text or JSON.

AWS documentation, "Working with Lambda function logs": the text lines, and for JSON the events of the Telemetry API
with the log level of each ("System log level event mapping").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from lambent.sandbox.protocol import EnvironmentSpec, InvocationReport

Phase = Literal["init", "invoke"]
Status = Literal["success", "error", "failure", "timeout"]
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARN": 30}


def timestamp(now_s: float) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(int(now_s * 1000) / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an init or an event ended. `error_type` is None on success."""

    status: Status = "success"
    error_type: str | None = None


class PlatformLines:
    """Writes the platform's lines of one environment; each method gives them with their line ends, or nothing."""

    def __init__(self, spec: EnvironmentSpec, runtime_version: str) -> None:
        self._spec = spec
        self._runtime_version = runtime_version
        self._json = spec.log_format == "JSON"
        self._threshold = _LEVELS.get(spec.system_log_level or "INFO", 20)

    def init_start(self, now_s: float, phase: Phase) -> list[str]:
        spec = self._spec
        if not self._json:
            line = f"INIT_START Runtime Version: {self._runtime_version}"
            if spec.runtime_version_arn:
                line += f"\tRuntime Version ARN: {spec.runtime_version_arn}"
            return [line + "\n"]
        record = {
            "initializationType": spec.initialization_type,
            "phase": phase,
            "runtimeVersion": self._runtime_version,
            "runtimeVersionArn": spec.runtime_version_arn,
            "functionName": spec.function_name,
            "functionVersion": spec.function_version,
            "instanceId": spec.environment_id,
            "instanceMaxMemory": spec.memory_mb * 1024 * 1024,
        }
        return self._event(now_s, "initStart", record, "INFO")

    def init_done(self, now_s: float, phase: Phase, duration_ms: float, outcome: Outcome) -> list[str]:
        """Text has a line for a failed init only."""
        failed = outcome.status != "success"
        if not self._json:
            if not failed:
                return []
            line = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {outcome.status}"
            if outcome.error_type and outcome.status != "timeout":
                line += f"\tError Type: {outcome.error_type}"
            return [line + "\n"]
        done: dict[str, Any] = {
            "initializationType": self._spec.initialization_type,
            "phase": phase,
            "status": outcome.status,
        }
        if outcome.error_type:
            done["errorType"] = outcome.error_type
        level = "WARN" if failed else "DEBUG"
        report = {**done, "metrics": {"durationMs": round(duration_ms, 3)}}
        report_level = "INFO" if self._spec.initialization_type != "on-demand" else level
        return self._event(now_s, "initRuntimeDone", done, level) + self._event(
            now_s, "initReport", report, report_level
        )

    def start(self, now_s: float, request_id: str) -> list[str]:
        version = self._spec.function_version
        if not self._json:
            return [f"START RequestId: {request_id} Version: {version}\n"]
        return self._event(now_s, "start", {"requestId": request_id, "version": version}, "INFO")

    def timed_out(self, now_s: float, request_id: str, timeout_s: float) -> list[str]:
        """JSON says it in the report's status."""
        if self._json:
            return []
        return [f"{timestamp(now_s)} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n"]

    def end(
        self, now_s: float, request_id: str, report: InvocationReport, outcome: Outcome, produced_bytes: int
    ) -> list[str]:
        """END and REPORT."""
        if not self._json:
            return [f"END RequestId: {request_id}\n", _report_line(request_id, report, outcome)]
        failed = outcome.status != "success"
        error = {"errorType": outcome.error_type} if outcome.error_type else {}
        done = {
            "requestId": request_id,
            "status": outcome.status,
            **error,
            "metrics": {"durationMs": round(report.duration_ms, 3), "producedBytes": produced_bytes},
        }
        metrics: dict[str, Any] = {
            "durationMs": round(report.duration_ms, 3),
            "billedDurationMs": report.billed_duration_ms,
            "memorySizeMB": report.memory_mb,
            "maxMemoryUsedMB": report.max_memory_used_mb,
        }
        if report.init_duration_ms is not None:
            metrics["initDurationMs"] = round(report.init_duration_ms, 3)
        summary = {"requestId": request_id, "status": outcome.status, **error, "metrics": metrics}
        return self._event(now_s, "runtimeDone", done, "WARN" if failed else "DEBUG") + self._event(
            now_s, "report", summary, "WARN" if failed else "INFO"
        )

    def _event(self, now_s: float, kind: str, record: dict[str, Any], level: str) -> list[str]:
        if _LEVELS[level] < self._threshold:
            return []
        event = {"time": timestamp(now_s), "type": f"platform.{kind}", "record": record}
        return [msgspec.json.encode(event).decode() + "\n"]


def _report_line(request_id: str, report: InvocationReport, outcome: Outcome) -> str:
    line = (
        f"REPORT RequestId: {request_id}\tDuration: {report.duration_ms:.2f} ms\t"
        f"Billed Duration: {report.billed_duration_ms} ms\tMemory Size: {report.memory_mb} MB\t"
        f"Max Memory Used: {report.max_memory_used_mb} MB\t"
    )
    if report.init_duration_ms is not None:
        line += f"Init Duration: {report.init_duration_ms:.2f} ms\t"
    # An error of the handler is the function's affair; only what befell the environment is told here.
    if outcome.status == "timeout":
        line += "Status: timeout"
    elif outcome.status == "failure":
        line += f"Status: error\tError Type: {outcome.error_type}"
    return line + "\n"
