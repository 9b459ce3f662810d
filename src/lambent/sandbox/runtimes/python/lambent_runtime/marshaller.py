"""Events and results as JSON, the way AWS's Python runtime reads and writes it.

The C scanner and encoder of the standard library are used directly: importing `json` (with `re` behind it) takes
longer than all the rest of a cold start. `json` itself is imported for what they do not do: wording errors, and the
rare values that AWS's encoder writes and the standard one does not (Decimal, bytes inside a structure, named tuples).
"""

from os import environ

import _json

# From python3.12 on the runtime writes text as it is.
_ASCII = environ.get("AWS_EXECUTION_ENV") not in (
    "AWS_Lambda_python3.12",
    "AWS_Lambda_python3.13",
    "AWS_Lambda_python3.14",
)
_escape = _json.encode_basestring_ascii if _ASCII else _json.encode_basestring
_WHITESPACE = " \t\n\r"
_PLAIN = frozenset((str, int, float, bool, type(None)))


class _ScannerSettings(object):
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__


_scan = _json.make_scanner(_ScannerSettings)


class _Special(Exception):
    """A value that the standard encoder would write otherwise than AWS's."""


def loads(text):
    """Parse JSON text. Raises json.JSONDecodeError."""
    start = len(text) - len(text.lstrip(_WHITESPACE))
    try:
        value, end = _scan(text, start)
    except Exception:  # SystemError too: the scanner cannot word its error before `json.decoder` has been imported
        end = -1
    if end == len(text) or (end >= 0 and not text[end:].strip(_WHITESPACE)):
        return value
    import json

    return json.loads(text)


def dumps(value):
    """Write JSON text. Raises TypeError, ValueError or RecursionError for what cannot be written."""
    if not _is_plain(value):
        value = _simplify(value, set())
    encoder = _json.make_encoder({}, _refuse, _escape, None, ": ", ", ", False, False, True)
    try:
        return "".join(encoder(value, 0))
    except _Special:
        return _write_special(value)


def _refuse(value):
    import sys

    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        raise _Special
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def _is_plain(value):
    """Whether no named tuple and no bytes hide in `value`; a structure too deep to tell is left to the encoder."""
    try:
        return _walk(value)
    except RecursionError:
        return True


def _walk(value):
    kind = type(value)
    if kind in _PLAIN:
        return True
    if isinstance(value, dict):
        for key in value:
            if type(key) is bytes:
                return False
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    elif isinstance(value, tuple):
        if hasattr(value, "_asdict"):
            return False
        items = value
    elif isinstance(value, list):
        items = value
    else:
        return not isinstance(value, bytes)
    for item in items:
        if type(item) not in _PLAIN and not _walk(item):
            return False
    return True


def _simplify(value, parents):
    """A copy in which named tuples are objects and bytes are text."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) in parents:
        raise ValueError("Circular reference detected")
    parents.add(id(value))
    if isinstance(value, tuple) and callable(getattr(value, "_asdict", None)):
        value_as_dict = value._asdict()
        copy = {key: _simplify(item, parents) for key, item in value_as_dict.items()}
    elif isinstance(value, dict):
        copy = {
            key.decode("utf-8") if isinstance(key, bytes) else key: _simplify(item, parents)
            for key, item in value.items()
        }
    else:
        copy = [_simplify(item, parents) for item in value]
    parents.discard(id(value))
    return copy


class _Number(str):
    """A Decimal's digits, on their way through the encoder in the place of a text."""


def _write_special(value):
    """JSON with Decimals as numbers."""
    import decimal

    def digits(item):
        if isinstance(item, decimal.Decimal):
            return _Number("NaN" if item.is_nan() else str(item))
        return _refuse(item)

    def write_text(text):
        return str(text) if type(text) is _Number else _escape(text)

    encoder = _json.make_encoder({}, digits, write_text, None, ": ", ", ", False, False, True)
    return "".join(encoder(value, 0))


def unmarshal(event, content_type):
    """The event as the handler gets it. Raises errors.Fault."""
    if content_type != "application/json":
        return event
    try:
        return loads(event.decode("utf-8"))
    except Exception as error:
        from lambent_runtime import errors

        raise errors.Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % (error,)) from None


def marshal(result):
    """A handler's result as (bytes, content type). Raises errors.Fault."""
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return dumps(result).encode("utf-8"), "application/json"
    except Exception as error:
        from lambent_runtime import errors

        raise errors.Fault("Runtime.MarshalError", "Unable to marshal response: %s" % (error,)) from None
