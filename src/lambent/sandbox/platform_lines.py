"""The lines that the platform writes around an invocation, as text or JSON.

AWS documentation, "Working with Lambda function logs": the text lines, and for JSON the events of the Telemetry API
with the log level of each ("System log level event mapping").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from lambent.sandbox.protocol import EnvironmentSpec, InvocationReport

# Hears an event: the time in seconds since the epoch, its type, its record.
PlatformObserver = Callable[[float, str, dict[str, Any]], None]
Phase = Literal["init", "invoke"]
Status = Literal["success", "error", "failure", "timeout"]
SpanName = Literal["responseLatency", "responseDuration", "runtimeOverhead"]
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARN": 30}


def timestamp(now_s: float) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(int(now_s * 1000) / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an init or an event ended. `error_type` is None on success."""

    status: Status = "success"
    error_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of an event's time (AWS documentation, "Telemetry API Event schema reference", Span)."""

    name: SpanName
    start_s: float
    duration_ms: float


class PlatformLines:
    """Tells what happens in one environment; each method gives the lines for its log with their line ends, or none.

    `observer` hears every event of the Telemetry API, whatever the log's format and level.
    """

    def __init__(self, spec: EnvironmentSpec, runtime_version: str) -> None:
        self._spec = spec
        self._runtime_version = runtime_version
        self._managed = spec.initialization_type == "lambda-managed-instances"
        self._json = spec.log_format == "JSON"
        self._threshold = _LEVELS.get(spec.system_log_level or "INFO", 20)
        self.observer: PlatformObserver | None = None

    @property
    def _text_only(self) -> bool:
        """Whether nobody wants the event itself."""
        return not self._json and self.observer is None

    def init_start(self, now_s: float, phase: Phase) -> list[str]:
        spec = self._spec
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
        text = f"INIT_START Runtime Version: {self._runtime_version}"
        if spec.runtime_version_arn:
            text += f"\tRuntime Version ARN: {spec.runtime_version_arn}"
        return self._tell(now_s, "initStart", record, "INFO", text)

    def init_runtime_done(self, now_s: float, phase: Phase, outcome: Outcome) -> list[str]:
        """The runtime is initialised, or failed to be. Text does not say so."""
        level = "WARN" if outcome.status != "success" else "DEBUG"
        return self._tell(now_s, "initRuntimeDone", self._init_record(phase, outcome), level)

    def init_report(self, now_s: float, phase: Phase, duration_ms: float, outcome: Outcome) -> list[str]:
        """The init is over. Text has a line for a failed one only."""
        text = ""
        if outcome.status != "success":
            text = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {outcome.status}"
            if outcome.error_type and outcome.status != "timeout":
                text += f"\tError Type: {outcome.error_type}"
        level = "WARN" if outcome.status != "success" else "DEBUG"
        if self._spec.initialization_type != "on-demand":
            level = "INFO"
        record = self._init_record(phase, outcome) | {"metrics": {"durationMs": round(duration_ms, 3)}}
        return self._tell(now_s, "initReport", record, level, text)

    def _init_record(self, phase: Phase, outcome: Outcome) -> dict[str, Any]:
        record: dict[str, Any] = {
            "initializationType": self._spec.initialization_type,
            "phase": phase,
            "status": outcome.status,
        }
        return record | ({"errorType": outcome.error_type} if outcome.error_type else {})

    def extension(
        self, now_s: float, name: str, state: str, events: Sequence[str], error_type: str | None = None
    ) -> list[str]:
        """What became of an extension in the init."""
        text = f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{','.join(events)}]"
        record: dict[str, Any] = {"name": name, "state": state, "events": list(events)}
        if error_type:
            text += f"\tError Type: {error_type}"
            record["errorType"] = error_type
        return self._tell(now_s, "extension", record, "INFO", text)

    def subscription(self, now_s: float, name: str, types: Sequence[str], *, logs_api: bool = False) -> list[str]:
        """An extension has subscribed to the Telemetry API, or to the older Logs API."""
        shown = ", ".join(kind.capitalize() for kind in types)
        text = f"{'LOGS' if logs_api else 'TELEMETRY'}\tName: {name}\tState: Subscribed\tTypes: [{shown}]"
        record = {"name": name, "state": "Subscribed", "types": list(types)}
        kind = "logsSubscription" if logs_api else "telemetrySubscription"
        return self._tell(now_s, kind, record, "INFO", text)

    def start(self, now_s: float, request_id: str, trace_id: str = "", function_arn: str = "") -> list[str]:
        """`function_arn` as it was invoked: told of managed instances only."""
        version = self._spec.function_version
        text = f"START RequestId: {request_id} Version: {version}"
        if self._text_only:
            return [text + "\n"]
        record: dict[str, Any] = {"requestId": request_id, "version": version}
        if function_arn and self._managed:
            record["functionArn"] = function_arn
        if trace_id:
            record["tracing"] = {"type": "X-Amzn-Trace-Id", "value": trace_id}
        return self._tell(now_s, "start", record, "INFO", text)

    def timed_out(self, now_s: float, request_id: str, timeout_s: float) -> list[str]:
        """JSON says it in the report's status."""
        if self._json:
            return []
        return [f"{timestamp(now_s)} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n"]

    def runtime_done(
        self,
        now_s: float,
        request_id: str,
        duration_ms: float,
        outcome: Outcome,
        produced_bytes: int,
        spans: Callable[[float], Sequence[Span]] = lambda now_s: (),
    ) -> list[str]:
        """The runtime is done with an event, or will never be: END. Extensions may still be at it.

        `spans` tells what is known now of the parts of its time; it is asked only if somebody wants to know.
        """
        text = f"END RequestId: {request_id}"
        if self._text_only:
            return [text + "\n"]
        record: dict[str, Any] = {
            "requestId": request_id,
            "status": outcome.status,
            **({"errorType": outcome.error_type} if outcome.error_type else {}),
            "metrics": {"durationMs": round(duration_ms, 3), "producedBytes": produced_bytes},
        }
        if told := spans(now_s):
            record["spans"] = [
                {"name": span.name, "start": timestamp(span.start_s), "durationMs": round(span.duration_ms, 3)}
                for span in told
            ]
        return self._tell(now_s, "runtimeDone", record, "WARN" if outcome.status != "success" else "DEBUG", text)

    def report(self, now_s: float, request_id: str, report: InvocationReport, outcome: Outcome) -> list[str]:
        """All are done with an event: REPORT."""
        text = self._report_line(request_id, report, outcome)
        if self._text_only:
            return [text + "\n"]
        record = {
            "requestId": request_id,
            "status": outcome.status,
            **({"errorType": outcome.error_type} if outcome.error_type else {}),
            "metrics": self._metrics(report),
        }
        return self._tell(now_s, "report", record, "WARN" if outcome.status != "success" else "INFO", text)

    def _metrics(self, report: InvocationReport) -> dict[str, Any]:
        metrics: dict[str, Any] = {"durationMs": round(report.duration_ms, 3)}
        if not self._managed:
            metrics |= {
                "billedDurationMs": report.billed_duration_ms,
                "memorySizeMB": report.memory_mb,
                "maxMemoryUsedMB": report.max_memory_used_mb,
            }
        if not self._managed and report.init_duration_ms is not None:
            metrics["initDurationMs"] = round(report.init_duration_ms, 3)
        return metrics

    def _durations(self, report: InvocationReport) -> Sequence[str]:
        """The middle of a REPORT line."""
        durations = [
            f"Duration: {report.duration_ms:.2f} ms",
            f"Billed Duration: {report.billed_duration_ms} ms",
            f"Memory Size: {report.memory_mb} MB",
            f"Max Memory Used: {report.max_memory_used_mb} MB",
        ]
        if report.init_duration_ms is not None:
            durations.append(f"Init Duration: {report.init_duration_ms:.2f} ms")
        return durations

    def _report_line(self, request_id: str, report: InvocationReport, outcome: Outcome) -> str:
        line = "\t".join((f"REPORT RequestId: {request_id}", *self._durations(report), ""))
        # An error of the handler is the function's affair; only what befell the environment is told here.
        if outcome.status == "timeout":
            line += "Status: timeout"
        elif outcome.status == "failure":
            line += f"Status: error\tError Type: {outcome.error_type}"
        return line

    def _tell(self, now_s: float, kind: str, record: dict[str, Any], level: str, text: str = "") -> list[str]:
        """One event, as a line of the log's format; `text` is empty where text has none."""
        if self.observer is not None:
            self.observer(now_s, f"platform.{kind}", record)
        if not self._json:
            return [text + "\n"] if text else []
        if _LEVELS[level] < self._threshold:
            return []
        return [
            msgspec.json.encode({"time": timestamp(now_s), "type": f"platform.{kind}", "record": record}).decode()
            + "\n"
        ]
