"""The lines around the restore of a snapshot, where other environments have an init.

AWS documentation, "Monitoring for Lambda SnapStart", and the events platform.restoreStart, restoreRuntimeDone and
restoreReport of "Lambda Telemetry API Event schema reference".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from lambent.sandbox.platform_lines import Outcome, Phase, PlatformLines
from lambent.sandbox.protocol import EnvironmentSpec, InvocationReport


class RestoreLines(PlatformLines):
    """`outcome` and `duration_ms` are those of the last restore."""

    def __init__(self, spec: EnvironmentSpec, runtime_version: str) -> None:
        super().__init__(spec, runtime_version)
        self.outcome = Outcome()
        self.duration_ms = 0.0

    def init_start(self, now_s: float, phase: Phase) -> list[str]:
        spec = self._spec
        record = {
            "runtimeVersion": self._runtime_version,
            "runtimeVersionArn": spec.runtime_version_arn,
            "functionName": spec.function_name,
            "functionVersion": spec.function_version,
            "instanceId": spec.environment_id,
            "instanceMaxMemory": spec.memory_mb * 1024 * 1024,
        }
        text = f"RESTORE_START Runtime Version: {self._runtime_version}"
        if spec.runtime_version_arn:
            text += f"\tRuntime Version ARN: {spec.runtime_version_arn}"
        return self._tell(now_s, "restoreStart", record, "INFO", text)

    def init_runtime_done(self, now_s: float, phase: Phase, outcome: Outcome) -> list[str]:
        level = "WARN" if outcome.status != "success" else "DEBUG"
        return self._tell(now_s, "restoreRuntimeDone", _record(outcome), level)

    def init_report(self, now_s: float, phase: Phase, duration_ms: float, outcome: Outcome) -> list[str]:
        self.outcome, self.duration_ms = outcome, duration_ms
        text = f"RESTORE_REPORT Restore Duration: {duration_ms:.2f} ms"
        if outcome.status != "success":
            text += f"\tStatus: {outcome.status}"
            if outcome.error_type and outcome.status != "timeout":
                text += f"\tError Type: {outcome.error_type}"
        record = _record(outcome) | {"metrics": {"durationMs": round(duration_ms, 3)}}
        return self._tell(now_s, "restoreReport", record, "WARN" if outcome.status != "success" else "INFO", text)

    def _metrics(self, report: InvocationReport) -> dict[str, Any]:
        metrics = super()._metrics(own_part(report))
        if report.init_duration_ms is not None:
            metrics["restoreDurationMs"] = round(report.init_duration_ms, 3)
            metrics["billedRestoreDurationMs"] = math.ceil(report.init_duration_ms)
        return metrics

    def _durations(self, report: InvocationReport) -> Sequence[str]:
        durations = list(super()._durations(own_part(report)))
        if report.init_duration_ms is not None:
            durations += [
                f"Restore Duration: {report.init_duration_ms:.2f} ms",
                f"Billed Restore Duration: {math.ceil(report.init_duration_ms)} ms",
            ]
        return durations


def own_part(report: InvocationReport) -> InvocationReport:
    """The report without the restore, which AWS bills apart from the event."""
    return msgspec.structs.replace(report, init_duration_ms=None, billed_duration_ms=math.ceil(report.duration_ms))


def _record(outcome: Outcome) -> dict[str, Any]:
    return {"status": outcome.status} | ({"errorType": outcome.error_type} if outcome.error_type else {})
