"""The context object, and which event is running now."""

import sys
from os import environ
from time import time

current = None  # the running channel.Invocation, for log records


def watch_logging(wire):
    """Give the root logger AWS's handler as soon as somebody imports `logging`, which costs too much to do always."""
    if "logging" in sys.modules:
        from lambent_runtime import logs

        logs.set_up(wire)
    else:
        sys.meta_path.insert(0, _LoggingFinder(wire))


class _LoggingFinder(object):
    """Finds only `logging`, once, and sets it up when it has been executed."""

    def __init__(self, wire):
        self._wire = wire

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        execute = spec.loader.exec_module

        def execute_and_set_up(module):
            execute(module)
            from lambent_runtime import logs

            logs.set_up(self._wire)

        spec.loader.exec_module = execute_and_set_up
        return spec


class Client(object):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, values):
        _fill(self, values)

    def __repr__(self):
        return _describe(self)


class ClientContext(object):
    __slots__ = ("custom", "env", "client")

    def __init__(self, values):
        _fill(self, values)
        if self.client is not None:
            self.client = Client(self.client)

    def __repr__(self):
        return _describe(self)


class CognitoIdentity(object):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, identity_id=None, pool_id=None):
        self.cognito_identity_id = identity_id
        self.cognito_identity_pool_id = pool_id

    def __repr__(self):
        return _describe(self)


class LambdaContext(object):
    """The second argument of every handler (AWS documentation, "Using the Lambda context object", Python)."""

    log_group_name = None
    log_stream_name = None
    function_name = None
    memory_limit_in_mb = None
    function_version = None

    @classmethod
    def read_environment(cls):
        """Once, when the runtime starts: in a zygote this module is there before the function's variables are."""
        cls.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        cls.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        cls.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        cls.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        cls.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")

    def __init__(self, invocation):
        self.aws_request_id = invocation.request_id
        self.invoked_function_arn = invocation.arn
        self.tenant_id = invocation.tenant_id or None
        self._epoch_deadline_time_in_ms = int(invocation.deadline_ms)
        self._w3c_fields = {}
        self.client_context = None
        if invocation.client_context:
            values = _parse(invocation.client_context, "Client Context")
            if isinstance(values, dict):
                self._w3c_fields = _trace_fields(values.pop("w3c", None))
            self.client_context = None if values is None else ClientContext(values)
        if invocation.cognito_identity:
            identity = _parse(invocation.cognito_identity, "Cognito Identity")
            self.identity = CognitoIdentity(identity.get("cognitoIdentityId"), identity.get("cognitoIdentityPoolId"))
        else:
            self.identity = CognitoIdentity()

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time() * 1000))

    def w3c(self):
        """The W3C trace context that the caller sent in the client context."""
        return dict(self._w3c_fields)

    def log(self, msg):
        logging = sys.modules.get("logging")
        for handler in logging.getLogger().handlers if logging is not None else ():
            if hasattr(handler, "log_sink"):
                handler.log_sink.log(str(msg))
                return
        sys.stdout.write(str(msg))

    def __repr__(self):
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return "LambdaContext([%s])" % ",".join("%s=%s" % (name, getattr(self, name)) for name in names)


def _trace_fields(values):
    if not isinstance(values, dict):
        return {}
    return {
        name: values[name]
        for name in ("traceparent", "tracestate", "baggage")
        if isinstance(values.get(name), str)
    }


def _parse(text, name):
    from lambent_runtime import errors, marshaller

    try:
        return marshaller.loads(text)
    except Exception as error:
        raise errors.Fault(
            "Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error)
        ) from None


def _fill(target, values):
    for name in target.__slots__:
        setattr(target, name, values.get(name))


def _describe(value):
    return "%s([%s])" % (
        type(value).__name__,
        ",".join("%s=%s" % (name, getattr(value, name)) for name in value.__slots__),
    )
