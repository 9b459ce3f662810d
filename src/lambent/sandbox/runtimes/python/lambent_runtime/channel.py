"""The runtime's end of the framed socket (see sandbox/framed.py for the frames) and the output that goes through it."""

import io
import os
import sys
from _thread import allocate_lock

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:
    getrusage = None

_READ_BYTES = 65536
_LOG_BYTES = 262144  # the largest event of CloudWatch Logs; frames of output are no larger either


def _peak():
    """Largest resident size so far in KiB, as four bytes; 0 where it cannot be known."""
    if getrusage is None:
        return b"\0\0\0\0"
    return getrusage(RUSAGE_SELF).ru_maxrss.to_bytes(4, "big")


class Invocation(object):
    """What the platform says about one event."""

    __slots__ = (
        "request_id",
        "deadline_ms",
        "arn",
        "trace_id",
        "tenant_id",
        "content_type",
        "cognito_identity",
        "client_context",
    )

    def __init__(self, fields):
        (
            self.request_id,
            self.deadline_ms,
            self.arn,
            self.trace_id,
            self.tenant_id,
            self.content_type,
            self.cognito_identity,
            self.client_context,
        ) = fields


class Channel(object):
    """Frames to and from the platform. Sending is safe from any thread of the process that made it."""

    def __init__(self, fd):
        self._fd = fd
        self._lock = allocate_lock()
        self._buffer = b""
        os.set_inheritable(fd, False)
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self):
        # Two processes must not write frames into one stream: a forked child's output goes to the pipe instead.
        self._lock = allocate_lock()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def reopen(self, fd):
        """Speak over `fd` from now on: a restored fork has a platform of its own."""
        self._fd = fd
        self._buffer = b""
        os.set_inheritable(fd, False)

    @property
    def mine(self):
        """False in a forked child of the runtime."""
        return self._fd >= 0

    def send(self, kind, *parts):
        size = 0
        for part in parts:
            size += len(part)
        data = b"".join((kind, size.to_bytes(4, "big")) + parts)
        with self._lock:
            if self._fd < 0:
                os._exit(0)  # a forked child that fell out of the handler: the answer is its parent's to give
            sent = os.write(self._fd, data)
            if sent < len(data):
                rest = memoryview(data)[sent:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]

    def send_ready(self):
        self.send(b"R", _peak())

    def send_init_error(self, error_type, body):
        self.send(b"X", _text(error_type), body)

    def send_answer(self, content_type, body):
        self.send(b"A", _peak(), _text(content_type), body)

    def send_error(self, error_type, body):
        self.send(b"E", _peak(), _text(error_type), body)

    def log(self, message):
        """Send one log record, which stays one event however many lines it has."""
        data = message.encode("utf-8", "backslashreplace")
        if self._fd < 0:
            os.write(1, data)
            return
        for start in range(0, len(data) or 1, _LOG_BYTES):
            self.send(b"L", data[start : start + _LOG_BYTES])

    def receive(self):
        """The next event, as (Invocation, bytes). Ends the process when the platform is gone."""
        data = self._buffer or self._read(_READ_BYTES)
        while len(data) < 5:
            data += self._read(_READ_BYTES)
        end = 5 + int.from_bytes(data[1:5], "big")
        if len(data) < end:
            parts = [data]
            missing = end - len(data)
            while missing > 0:
                part = self._read(min(missing, 1 << 20))
                parts.append(part)
                missing -= len(part)
            data = b"".join(parts)
        self._buffer = data[end:]
        body = 9 + int.from_bytes(data[5:9], "big")
        return Invocation(data[9:body].decode("utf-8").split("\0", 7)), data[body:end]

    def _read(self, size):
        try:
            data = os.read(self._fd, size)
        except ConnectionError:
            data = b""
        if not data:
            os._exit(0)
        return data

    def capture_output(self):
        """Make `print` and everything that writes to sys.stdout or sys.stderr go through the channel."""
        for name, fd in (("stdout", 1), ("stderr", 2)):
            stream = io.TextIOWrapper(
                io.BufferedWriter(_Output(self, fd)), encoding="utf-8", errors="backslashreplace", line_buffering=True
            )
            setattr(sys, name, stream)
            setattr(sys, "__%s__" % name, stream)


def _text(value):
    """A short text with its length before it."""
    data = value.encode("utf-8", "backslashreplace")[:65535]
    return len(data).to_bytes(2, "big") + data


class _Output(io.RawIOBase):
    """What is printed, on its way to the platform; `fileno` is the real descriptor, for subprocesses."""

    def __init__(self, channel, fd):
        self._channel = channel
        self._fd = fd

    def writable(self):
        return True

    def fileno(self):
        return self._fd

    def write(self, data):
        if not self._channel.mine:
            return os.write(self._fd, data)
        data = bytes(data[:_LOG_BYTES])
        if data:
            self._channel.send(b"O", data)
        return len(data)
