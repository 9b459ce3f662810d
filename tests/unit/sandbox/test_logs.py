"""Cutting output into events, tails, and the platform's own lines."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.clock import SystemClock
from lambent.core.operations import Scope
from lambent.sandbox.function_log import MAX_EVENT_BYTES, FunctionLog, LineSplitter
from lambent.sandbox.platform_lines import Outcome, PlatformLines, timestamp
from lambent.sandbox.protocol import EnvironmentSpec, InvocationReport
from tests.unit.sandbox.support import Logs

LINES = st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xc3", b"line\n", b"\n\n"]))


@given(portions=LINES)
def test_lines_do_not_depend_on_portions(portions: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for portion in portions for line in splitter.feed(portion)] + splitter.flush()
    whole = LineSplitter()
    assert lines == whole.feed(b"".join(portions)) + whole.flush()
    assert b"".join(lines) == b"".join(portions)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines[:-1])


def test_endless_line() -> None:
    splitter = LineSplitter()
    lines = splitter.feed(bytes(MAX_EVENT_BYTES * 2 + 1))
    assert [len(line) for line in lines + splitter.flush()] == [MAX_EVENT_BYTES, MAX_EVENT_BYTES, 1]


def function_log() -> tuple[FunctionLog, Logs]:
    sink = Logs()
    scope = Scope(account="1", region="r")
    return FunctionLog(sink, SystemClock(), scope=scope, group="g", stream="s"), sink


@given(portions=LINES, more=st.integers(0, 3000))
def test_tail_is_the_end_of_what_was_written(portions: list[bytes], more: int) -> None:
    log, sink = function_log()
    log.write(["before\n"])
    log.begin_tail()
    for _ in range(more):
        log.record(b"a record of some length, so that tails are trimmed")
    for portion in portions:
        log.printed(portion)
    log.end_lines()
    tail = log.end_tail()
    log.flush()
    assert sink.lines[0] == "before\n"
    assert tail == "".join(sink.lines[1:]).encode()[-4096:]
    assert log.end_tail() == b""


def test_records_stay_whole_and_huge_ones_are_cut() -> None:
    log, sink = function_log()
    log.record(b"two\nlines")
    log.record(b"x" * (MAX_EVENT_BYTES + 5))
    assert log.has_pending
    log.flush()
    log.flush()
    assert sink.lines[0] == "two\nlines\n"
    assert [len(line) for line in sink.lines[1:]] == [MAX_EVENT_BYTES, 6]


def lines(**options: Any) -> PlatformLines:
    values: dict[str, Any] = {
        "environment_id": "e",
        "account": "1",
        "region": "r",
        "function_name": "f",
        "function_version": "3",
        "function_arn": "arn",
        "runtime": "python3.13",
        "handler": "h.h",
        "code": "c",
    }
    return PlatformLines(EnvironmentSpec(**{**values, **options}), "python:3.13.0")


def end_lines(of: PlatformLines, outcome: Outcome, produced_bytes: int = 0) -> list[str]:
    done = of.runtime_done(NOW_S, "id", REPORT.duration_ms, outcome, produced_bytes)
    return done + of.report(NOW_S, "id", REPORT, outcome)


def init_lines(of: PlatformLines, duration_ms: float, outcome: Outcome) -> list[str]:
    return of.init_runtime_done(NOW_S, "init", outcome) + of.init_report(NOW_S, "init", duration_ms, outcome)


REPORT = InvocationReport(
    duration_ms=3.014, billed_duration_ms=4, memory_mb=128, max_memory_used_mb=36, init_duration_ms=110.1
)
NOW_S = 1764025721.1234


def test_text_lines() -> None:
    text = lines(runtime_version_arn="arn:aws:lambda:r::runtime:0")
    assert text.init_start(NOW_S, "init") == [
        "INIT_START Runtime Version: python:3.13.0\tRuntime Version ARN: arn:aws:lambda:r::runtime:0\n"
    ]
    assert text.start(NOW_S, "id") == ["START RequestId: id Version: 3\n"]
    assert init_lines(text, 5, Outcome()) == []
    assert init_lines(text, 10008.531, Outcome(status="timeout", error_type="Sandbox.Timedout")) == [
        "INIT_REPORT Init Duration: 10008.53 ms\tPhase: init\tStatus: timeout\n"
    ]
    assert text.timed_out(NOW_S, "id", 3) == ["2025-11-24T23:08:41.123Z id Task timed out after 3.00 seconds\n\n"]
    head = (
        "REPORT RequestId: id\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t"
    )
    for outcome, rest in {
        Outcome(): "\n",
        Outcome(status="error", error_type="ValueError"): "\n",
        Outcome(status="timeout", error_type="Sandbox.Timedout"): "Status: timeout\n",
        Outcome(status="failure", error_type="Runtime.ExitError"): "Status: error\tError Type: Runtime.ExitError\n",
    }.items():
        assert end_lines(text, outcome) == [
            "END RequestId: id\n",
            head + "Init Duration: 110.10 ms\t" + rest,
        ]


def test_json_lines() -> None:
    json = lines(log_format="JSON", system_log_level="DEBUG")
    done, report = map(msgspec.json.decode, end_lines(json, Outcome(status="error", error_type="ValueError"), 17))
    assert done == {
        "time": "2025-11-24T23:08:41.123Z",
        "type": "platform.runtimeDone",
        "record": {
            "requestId": "id",
            "status": "error",
            "errorType": "ValueError",
            "metrics": {"durationMs": 3.014, "producedBytes": 17},
        },
    }
    assert report["record"]["metrics"] == {
        "durationMs": 3.014,
        "billedDurationMs": 4,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 36,
        "initDurationMs": 110.1,
    }
    [init] = map(msgspec.json.decode, json.init_start(NOW_S, "init"))
    assert init["record"]["instanceMaxMemory"] == 128 << 20
    assert json.timed_out(NOW_S, "id", 3) == []


@pytest.mark.parametrize(("level", "count"), [("DEBUG", 2), ("INFO", 1), ("WARN", 0)])
def test_system_log_level(level: str, count: int) -> None:
    assert len(end_lines(lines(log_format="JSON", system_log_level=level), Outcome())) == count
    failed = Outcome(status="failure", error_type="Runtime.ExitError")
    assert len(end_lines(lines(log_format="JSON", system_log_level=level), failed)) == 2


def test_timestamp() -> None:
    assert timestamp(0.9999) == "1970-01-01T00:00:00.999Z"
