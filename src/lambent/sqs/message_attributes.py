"""Message attributes: what SQS takes, how it counts them, and the digests that clients check.

Texts and order follow the SQS developer guide, "Amazon SQS message metadata", and what SQS answers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, Final

import msgspec

from lambent.sqs.errors import INVALID_CHARACTERS, InvalidParameterValue, UnsupportedOperation

MAX_ATTRIBUTES: Final = 10
TRACE_HEADER: Final = "AWSTraceHeader"

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_RESERVED = re.compile(r"(?i:aws\.|amazon\.)|\.|.*\.\.|.*\.\Z", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LENGTH = Struct(">I").pack
_CONTROLS: Final = bytes({*range(0x20)} - {0x9, 0xA, 0xD})
_MAX_BYTES: Final = 256


class MessageAttribute(msgspec.Struct, frozen=True, array_like=True):
    """One attribute. `value` is text for String and Number, bytes for Binary, as `data_type` begins."""

    name: str
    data_type: str
    value: Any

    @property
    def size_bytes(self) -> int:
        """What it counts towards a message's size."""
        value = self.value
        return (
            len(self.name)
            + len(self.data_type.encode())
            + (len(value.encode()) if isinstance(value, str) else len(value))
        )

    def as_output(self) -> dict[str, Any]:
        """The attribute as ReceiveMessage answers it."""
        kind = "BinaryValue" if isinstance(self.value, bytes) else "StringValue"
        return {kind: self.value, "DataType": self.data_type}


Attributes = tuple[MessageAttribute, ...]
"""In the order of their names."""


def is_valid_text(encoded: bytes, text: str) -> bool:
    """Whether `text` (`encoded` as UTF-8) holds only characters that XML 1.0 has; no copy is made of plain text."""
    if len(encoded.translate(None, _CONTROLS)) != len(encoded):
        return False
    return text.isascii() or not ("\ufffe" in text or "\uffff" in text)


def encoded(text: str) -> bytes | None:
    """UTF-8; None for lone surrogates, which no text has."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def read_attributes(given: Mapping[str, Mapping[str, Any] | None]) -> Attributes:
    """The attributes of a message to be sent. Raises InvalidParameterValue and UnsupportedOperation."""
    if len(given) > MAX_ATTRIBUTES:
        raise InvalidParameterValue(
            f"Number of message attributes [{len(given)}] exceeds the allowed maximum [{MAX_ATTRIBUTES}]."
        )
    found = []
    for name in sorted(given):
        _check_name(name)
        found.append(_read(name, given[name] or {}, "user"))
    return tuple(found)


def read_system_attributes(given: Mapping[str, Mapping[str, Any] | None]) -> Attributes:
    """The system attributes of a message to be sent: only the trace header. Raises InvalidParameterValue."""
    found = []
    for name in sorted(given):
        if name != TRACE_HEADER:
            raise InvalidParameterValue(
                f"Message system attribute name '{name[:256]}' is invalid. "
                f"You can use only the following message system attribute: {TRACE_HEADER}"
            )
        attribute = _read(name, given[name] or {}, "system")
        if attribute.data_type != "String":
            raise InvalidParameterValue(f"The message (system) attribute '{name}' must be of type 'String'.")
        found.append(attribute)
    return tuple(found)


def _check_name(name: str) -> None:
    if len(name.encode("utf-8", "replace")) > _MAX_BYTES:
        raise InvalidParameterValue("Message (user) attribute names must be shorter than 256 Bytes")
    if not _NAME.fullmatch(name):
        raise InvalidParameterValue(
            "Message (user) attributes name can only contain upper and lower score characters, digits, periods, "
            "hyphens and underscores. "
        )
    if _RESERVED.match(name):
        raise InvalidParameterValue(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for "
            "internal use. Additionally, they cannot start or end with '.'."
        )


def _read(name: str, given: Mapping[str, Any], whose: str) -> MessageAttribute:
    data_type = given.get("DataType")
    if not data_type:
        raise InvalidParameterValue(
            f"The message ({whose}) attribute '{name}' must contain a non-empty message attribute type."
        )
    base = data_type.partition(".")[0]
    if base not in ("String", "Number", "Binary"):
        raise InvalidParameterValue(
            f"The type of message ({whose}) attribute '{name}' is invalid. "
            "You must use only the following supported type prefixes: Binary, Number, String."
        )
    if len(data_type.encode("utf-8", "replace")) > _MAX_BYTES or encoded(data_type) is None:
        raise InvalidParameterValue(f"Message ({whose}) attribute '{name}' type must be shorter than 256 Bytes")
    if given.get("StringListValues") or given.get("BinaryListValues"):
        raise UnsupportedOperation("Message attribute list values in SendMessage operation are not supported.")
    member, other = ("BinaryValue", "StringValue") if base == "Binary" else ("StringValue", "BinaryValue")
    value = given.get(member)
    if not value:
        raise InvalidParameterValue(
            f"Message ({whose}) attribute '{name}' must contain a non-empty value of type '{base}'."
        )
    if given.get(other):
        raise InvalidParameterValue(f"Message ({whose}) attribute '{name}' must contain one value only.")
    if isinstance(value, str):
        raw = encoded(value)
        if raw is None or not is_valid_text(raw, value):
            raise InvalidParameterValue(INVALID_CHARACTERS)
        if base == "Number" and not _NUMBER.fullmatch(value):
            raise InvalidParameterValue(f"Can't cast the value of message ({whose}) attribute '{name}' to a number.")
    return MessageAttribute(name, data_type, value)


def digest(attributes: Iterable[MessageAttribute]) -> str:
    """The hex MD5 of attributes (in the order of their names) that clients compute too.

    SQS developer guide, "Calculating the MD5 message digest for message attributes".
    """
    md5 = hashlib.md5(usedforsecurity=False)
    for attribute in attributes:
        name, data_type, value = attribute.name.encode(), attribute.data_type.encode(), attribute.value
        kind = b"\x02"
        if isinstance(value, str):
            kind, value = b"\x01", value.encode()
        md5.update(
            b"".join((_LENGTH(len(name)), name, _LENGTH(len(data_type)), data_type, kind, _LENGTH(len(value)), value))
        )
    return md5.hexdigest()


def pack(attributes: Attributes) -> bytes | None:
    """The form in which the attributes are stored; None for none."""
    return msgspec.msgpack.encode(attributes) if attributes else None


def unpack(packed: bytes | None) -> Attributes:
    """What `pack` packed."""
    return _DECODER.decode(packed) if packed else ()


def chooser(names: Sequence[str]) -> Callable[[str], bool]:
    """Which attributes a receiver asks for: exact names, `All`, `.*`, or a prefix as in `foo.*`."""
    if "All" in names or ".*" in names:
        return lambda name: True
    exact = frozenset(names)
    prefixes = tuple(name[:-2] for name in names if name and name.endswith(".*"))
    if not prefixes:
        return exact.__contains__
    return lambda name: name in exact or name.startswith(prefixes)


_DECODER: Final = msgspec.msgpack.Decoder(tuple[MessageAttribute, ...])
