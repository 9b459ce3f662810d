"""Errors as AWS's Python runtime words them, for the caller and for the log. Imported when there is one."""

import os
import time
import traceback

from lambent_runtime import marshaller


class Fault(Exception):
    """A failure of the contract between function and runtime, with its `Runtime.*` type."""

    def __init__(self, error_type, message, trace=None):
        Exception.__init__(self, message)
        self.error_type = error_type
        self.message = message
        self.trace = trace or []


def describe(exc_info, request_id):
    """The error object that the caller gets."""
    kind, error, frames = exc_info
    if isinstance(error, Fault):
        return _result(error.message, error.error_type, request_id, error.trace)
    trace = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(frames)]
    while len(trace) > 1 and trace[0][0].endswith("/bootstrap.py"):
        trace.pop(0)
    return _result(str(error), kind.__name__, request_id, traceback.format_list(trace))


def _result(message, error_type, request_id, trace):
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}


def log(wire, result):
    """Write an error to the function's log as one record."""
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        record = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "ERROR"}
        record.update(result)
        wire.log(marshaller.dumps(record))
        return
    head = "[ERROR] " + result["errorType"]
    if result["errorMessage"]:
        head += ": " + result["errorMessage"]
    lines = [head, "Traceback (most recent call last):"]
    for entry in result["stackTrace"]:
        for line in entry.splitlines() or [""]:
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    wire.log("\n".join(lines))
