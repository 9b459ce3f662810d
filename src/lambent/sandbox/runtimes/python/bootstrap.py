"""Runs one Python function: AWS's Python runtime over the platform's framed socket.

This program runs inside the environment, on any CPython from 3.8 on, and imports nothing that the function might
ship in another version. What it does not need for a warm invoke (traceback, json, logging) it imports when asked for.
"""

import os
import sys

from lambent_runtime import channel, context, marshaller


def _exec_path(environ):
    """The function's folder first, then its layers, then the runtime's own folder, as with the runtime of AWS."""
    runtime_dir = sys.path.pop(0)
    task_root = environ["LAMBDA_TASK_ROOT"]
    found = [task_root]
    opt = environ.pop("_LAMBENT_OPT", "")
    if opt:
        version = "python%d.%d" % sys.version_info[:2]
        found += [os.path.join(opt, "python", "lib", version, "site-packages"), os.path.join(opt, "python")]
    found.append(runtime_dir)
    sys.path[:] = found + [path for path in sys.path if path not in found]


def _load_handler(handler):
    """The function that `handler` ("pkg/mod.fn", "pkg.mod.fn") names. Raises errors.Fault and what the import raises."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        from lambent_runtime import errors

        raise errors.Fault(
            "Runtime.MalformedHandlerName",
            "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler,
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        from lambent_runtime import errors

        raise errors.Fault(
            "Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name
        )
    import importlib

    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        from lambent_runtime import errors

        raise errors.Fault(
            "Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error)
        ) from None
    except SyntaxError as error:
        from lambent_runtime import errors

        raise errors.Fault(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module '%s': %s" % (module_name, error),
            ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)],
        ) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        from lambent_runtime import errors

        raise errors.Fault(
            "Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name)
        ) from None


def _initialise(wire, environ):
    """Load the handler; a failure is logged, told to the platform, and ends the process."""
    try:
        debug_port = environ.pop("_LAMBENT_DEBUG_PORT", "")
        if debug_port:
            from lambent_runtime import debugger

            debugger.wait(int(debug_port))
        return _load_handler(environ["_HANDLER"])
    except Exception:
        from lambent_runtime import errors

        result = errors.describe(sys.exc_info(), "")
        errors.log(wire, result)
        sys.stdout.flush()
        sys.stderr.flush()
        wire.send_init_error(result["errorType"], marshaller.dumps(result).encode("utf-8", "backslashreplace"))
        sys.exit(1)


def _run_event(wire, handler, invocation, event):
    """Run the handler on one event and send what came of it."""
    try:
        lambda_context = context.LambdaContext(invocation)
        parsed = marshaller.unmarshal(event, invocation.content_type)
        answer, content_type = marshaller.marshal(handler(parsed, lambda_context))
    except Exception:
        from lambent_runtime import errors

        result = errors.describe(sys.exc_info(), invocation.request_id)
        errors.log(wire, result)
        sys.stdout.flush()
        sys.stderr.flush()
        wire.send_error(result["errorType"], marshaller.dumps(result).encode("utf-8", "backslashreplace"))
    else:
        sys.stdout.flush()
        sys.stderr.flush()
        wire.send_answer(content_type, answer)


def main():
    environ = os.environ
    wire = channel.Channel(int(environ.pop("_LAMBENT_CHANNEL_FD")))
    wire.capture_output()
    concurrency = environ.get("AWS_LAMBDA_MAX_CONCURRENCY")
    if concurrency:
        from lambent_runtime import workers

        wire = workers.fork(int(concurrency))
    _exec_path(environ)
    context.LambdaContext.read_environment()
    context.watch_logging(wire)
    snap_start = None
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        from lambent_runtime import snapshot

        snap_start = snapshot.Snapshot(environ)
    handler = _initialise(wire, environ)
    if snap_start is not None:
        snap_start.run(wire)
    wire.send_ready()
    while True:
        invocation, event = wire.receive()
        context.current = invocation
        if invocation.trace_id:
            environ["_X_AMZN_TRACE_ID"] = invocation.trace_id
        else:
            environ.pop("_X_AMZN_TRACE_ID", None)
        _run_event(wire, handler, invocation, event)


if __name__ == "__main__":
    main()
