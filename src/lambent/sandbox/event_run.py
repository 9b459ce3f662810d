"""One event in an environment: what has come of it so far, and what its caller gets."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from lambent.core import limits
from lambent.sandbox import failures
from lambent.sandbox.answer import Answer
from lambent.sandbox.failures import Failure
from lambent.sandbox.platform_lines import Outcome, Span, SpanName
from lambent.sandbox.protocol import Invocation, InvocationReport

_UNHANDLED = "Unhandled"


class EventRun:
    """Fills in the answer to one event. `first_byte` resolves when the caller can have the answer."""

    __slots__ = (
        "_answered_s",
        "_first_byte_s",
        "_gathered",
        "_produced_bytes",
        "_started_s",
        "answer",
        "answered",
        "delivered",
        "failed",
        "first_byte",
        "init_duration_ms",
        "invocation",
        "outcome",
        "runtime_done",
        "timer",
    )

    def __init__(
        self, invocation: Invocation, *, init_duration_ms: float | None, on_drained: Callable[[], None]
    ) -> None:
        self.invocation = invocation
        self.init_duration_ms = init_duration_ms
        self.answer = Answer(on_drained=on_drained)
        self.first_byte: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None
        self.outcome = Outcome()
        self.failed = False  # what befell the environment is the event's end
        self.delivered = False  # the runtime has the event
        self.runtime_done = False  # the runtime asks for the next event; extensions may still be at this one
        self.answered = False  # all of the answer is with the caller; the runtime may still be working
        self._gathered: bytearray | None = None  # a stream for a caller that wants it whole
        self._produced_bytes = 0
        self._first_byte_s = 0.0  # 0: not yet
        self._answered_s = 0.0
        self._started_s = time.monotonic()

    @property
    def produced_bytes(self) -> int:
        return self._produced_bytes

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, on the real clock; not positive when it has passed."""
        return self._started_s + self.invocation.timeout_s - time.monotonic()

    @property
    def duration_ms(self) -> float:
        """What counts of the time until now."""
        duration_ms = (time.monotonic() - self._started_s) * 1000
        return min(duration_ms, self.invocation.timeout_s * 1000) if self.outcome.status == "timeout" else duration_ms

    def spans(self, now_s: float) -> list[Span]:
        """The parts of the time until now, `now_s` on the platform's clock, as far as there has been an answer."""
        if not self._first_byte_s or not self._answered_s:
            return []
        spans: list[Span] = []

        def add(name: SpanName, start_s: float, end_s: float) -> None:
            duration_ms = (end_s - start_s) * 1000
            spans.append(Span(name=name, start_s=now_s - monotonic_s + start_s, duration_ms=duration_ms))

        monotonic_s = time.monotonic()
        add("responseLatency", self._started_s, self._first_byte_s)
        add("responseDuration", self._first_byte_s, self._answered_s)
        if self.delivered and not self.failed:
            add("runtimeOverhead", self._answered_s, monotonic_s)
        return spans

    def whole(self, content_type: str, body: bytes) -> None:
        """The runtime's answer."""
        self._produced_bytes = len(body)
        self.answer.whole(content_type, body)
        self._is_answered()

    def error(self, error_type: str, body: bytes) -> None:
        """An error that somebody has put into words; in the middle of a stream it ends the stream."""
        self.outcome = Outcome(status="error", error_type=error_type)
        if self.answer.streaming:
            self.answer.break_off(error_type, body)
        else:
            self._produced_bytes = len(body)
            self.answer.whole("application/json", body, function_error=_UNHANDLED)
        self._is_answered()

    def begin_stream(self, content_type: str) -> None:
        """The answer comes as a stream; a caller that did not ask for one gets it whole in the end."""
        self._first_byte_s = time.monotonic()
        if self.invocation.streaming:
            self.answer.begin(content_type)
            self._let_go()
        else:
            self.answer.content_type = content_type
            self._gathered = bytearray()

    def chunk(self, data: bytes) -> bool:
        """Part of a stream. False when the runtime should wait."""
        if self.outcome.status != "success":
            return True
        self._produced_bytes += len(data)
        gathered = self._gathered
        limit = limits.LAMBDA_STREAMED_RESPONSE_BYTES if gathered is None else limits.LAMBDA_RESPONSE_BYTES
        if self._produced_bytes > limit:
            # The rest is read and thrown away: the runtime's own state is none the worse.
            self.outcome = Outcome(status="error", error_type=failures.TOO_LARGE)
            if gathered is None:
                self.answer.break_off(failures.TOO_LARGE, failures.too_large())
            return True
        if gathered is not None:
            gathered += data
            return True
        return self.answer.feed(data)

    def end_stream(self) -> None:
        """The stream is complete."""
        if self._gathered is None:
            if self.outcome.status == "success":
                self.answer.finish()
        elif self.outcome.status == "success":
            self.answer.whole(self.answer.content_type, bytes(self._gathered), streaming=True)
        else:
            body = failures.too_large()
            self.answer.whole("application/json", body, function_error=_UNHANDLED, streaming=True)
        self._is_answered()

    def fail(self, failure: Failure) -> None:
        """The event ends with what befell the environment; an answer that is out already stays as it is."""
        self.failed = True
        timeout = failure.error_type == failures.TIMED_OUT
        self.outcome = Outcome(status="timeout" if timeout else "failure", error_type=failure.error_type)
        if self.answered:
            return
        body = failure.body(self.invocation.request_id)
        if self.answer.streaming:
            self.answer.break_off(failure.error_type, body)
        else:
            self.answer.whole("application/json", body, function_error=_UNHANDLED)
        self.answered = True

    def conclude(self, report: InvocationReport) -> None:
        """All is over: the caller gets the report, and the answer if it has none yet."""
        self.answer.settle(report)
        self._let_go()

    def report(self, *, memory_mb: int, peak_bytes: int) -> InvocationReport:
        """What the event cost until now, without the tail of its log."""
        duration_ms = self.duration_ms
        # Since August 2025 the init of a managed runtime is billed too (AWS documentation, "Lambda pricing").
        return InvocationReport(
            duration_ms=duration_ms,
            billed_duration_ms=math.ceil(duration_ms + (self.init_duration_ms or 0.0)),
            memory_mb=memory_mb,
            max_memory_used_mb=math.ceil(peak_bytes / limits.MIB),
            init_duration_ms=self.init_duration_ms,
        )

    def _is_answered(self) -> None:
        self.answered = True
        self._answered_s = time.monotonic()
        if not self._first_byte_s:
            self._first_byte_s = self._answered_s
        self._let_go()

    def _let_go(self) -> None:
        if not self.first_byte.done():
            self.first_byte.set_result(None)
