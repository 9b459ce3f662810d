"""The conditions of a policy's statement (IAM user guide, "IAM JSON policy elements: Condition operators").

A condition that cannot be decided, since its operator or value is none that AWS has, is refused when the policy is
stored; so `holds` meets only what it knows.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Keys = Mapping[str, Sequence[str]]
"""What is known of a request: condition keys in lower case to their values."""

Compare = Callable[[str, str], bool]
"""Whether a request's value (first) meets a policy's value (second)."""

_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?")


# What is known of every request, or known to be absent: no request here comes through an organisation or a VPC.
KNOWN_KEYS = frozenset(
    {
        "aws:currenttime",
        "aws:epochtime",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principalorgid",
        "aws:principalservicename",
        "aws:requestedregion",
        "aws:securetransport",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceorgid",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
    }
)


def is_valid(condition: object) -> bool:
    """Whether the document holds nothing but operators, keys and values that `holds` can decide."""
    if not isinstance(condition, dict):
        return False
    for operator, tests in condition.items():
        found = _OPERATOR.fullmatch(operator)
        if found is None or not isinstance(tests, dict) or not tests:
            return False
        name = found[2].lower()
        if name != "null" and name.replace("not", "", 1) not in _COMPARISONS:
            return False
        for key, values in tests.items():
            if key.lower() not in KNOWN_KEYS:
                return False
            if not all(isinstance(value, str | bool | int | float) for value in _listed(values)):
                return False
    return True


def holds(condition: Mapping[str, Mapping[str, Any]], keys: Keys) -> bool:
    """Whether every test of a valid condition is met."""
    return all(
        _test(operator, keys.get(key.lower(), ()), [_text(value) for value in _listed(values)])
        for operator, tests in condition.items()
        for key, values in tests.items()
    )


def _test(operator: str, have: Sequence[str], wanted: Sequence[str]) -> bool:
    found = _OPERATOR.fullmatch(operator)
    assert found is not None
    quantifier, name, if_exists = found[1], found[2].lower(), found[3]
    if name == "null":
        return (not have) == (wanted[0].lower() == "true") if wanted else False
    plain = name.replace("not", "", 1)
    negated = plain != name
    if not have:
        # An absent key meets negated operators, IfExists, and the empty "for all".
        return bool(if_exists) or negated or quantifier == "ForAllValues"
    compare = _COMPARISONS[plain]
    met = [any(compare(value, want) for want in wanted) != negated for value in have]
    return all(met) if quantifier == "ForAllValues" or (negated and quantifier is None) else any(met)


def wildcard(value: str, pattern: str) -> bool:
    """`*` any characters, `?` one; nothing else is special."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _arn(value: str, pattern: str) -> bool:
    have, want = value.split(":", 5), pattern.split(":", 5)
    return len(have) == len(want) and all(wildcard(*pair) for pair in zip(have, want, strict=True))


def _numbers(compare: Callable[[float, float], bool]) -> Compare:
    def numeric(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return numeric


def _moments(compare: Callable[[datetime, datetime], bool]) -> Compare:
    def moment(value: str, wanted: str) -> bool:
        try:
            return compare(_moment(value), _moment(wanted))
        except ValueError:
            return False

    return moment


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_COMPARISONS: Mapping[str, Compare] = {
    "stringequals": lambda value, wanted: value == wanted,
    "stringequalsignorecase": lambda value, wanted: value.lower() == wanted.lower(),
    "stringlike": wildcard,
    "arnequals": _arn,
    "arnlike": _arn,
    "bool": lambda value, wanted: value.lower() == wanted.lower(),
    "datelessthan": _moments(lambda value, wanted: value < wanted),
    "datelessthanequals": _moments(lambda value, wanted: value <= wanted),
    "dategreaterthan": _moments(lambda value, wanted: value > wanted),
    "dategreaterthanequals": _moments(lambda value, wanted: value >= wanted),
    "numericequals": _numbers(lambda value, wanted: value == wanted),
    "numericlessthan": _numbers(lambda value, wanted: value < wanted),
    "numericlessthanequals": _numbers(lambda value, wanted: value <= wanted),
    "numericgreaterthan": _numbers(lambda value, wanted: value > wanted),
    "numericgreaterthanequals": _numbers(lambda value, wanted: value >= wanted),
}
