"""Match expressions in a field's array: `{"prefix": "a"}`, `{"numeric": [">", 0]}`, with AWS's words for mistakes."""

from __future__ import annotations

from typing import Final

from lambent.core.event_patterns.model import InvalidEventPattern
from lambent.core.event_patterns.tokens import Kind, Tokens
from lambent.core.event_patterns.values import (
    AnythingBut,
    Cidr,
    EqualsIgnoreCase,
    ExactNumber,
    ExactString,
    Exists,
    Prefix,
    Range,
    Suffix,
    ValuePattern,
    Wildcard,
    fold,
    ip_address,
    looks_like_ip,
    number,
)

_ONE_KEY: Final = "Only one key allowed in match expression"
_TOO_MANY: Final = "Too many elements in numeric expression"
_TOO_COMPLEX: Final = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
    "wildcard character"
)
# AWS does not publish its bound. A wildcard's complexity is how many of its prefixes are alive at once.
_MAX_COMPLEXITY: Final = 50
_INFINITY: Final = float("inf")


def match_expression(tokens: Tokens) -> ValuePattern:
    """The operator whose `{` is the current token. Raises InvalidEventPattern."""
    if tokens.next().kind is not Kind.NAME:
        raise tokens.invalid("Match expression name not found")
    name = tokens.current.value
    match name:
        case "exact":
            return _closed(tokens, ExactString(_string(tokens, "exact")))
        case "prefix":
            return _affix(tokens, "prefix", Prefix)
        case "suffix":
            return _affix(tokens, "suffix", Suffix)
        case "equals-ignore-case":
            return _closed(tokens, EqualsIgnoreCase(fold(_string(tokens, "equals-ignore-case"))))
        case "wildcard":
            return _closed(tokens, wildcard(tokens, _string(tokens, "wildcard")))
        case "cidr":
            return _closed(tokens, cidr(_string(tokens, "prefix")))  # AWS's message names the wrong operator
        case "numeric":
            if tokens.next().kind is not Kind.ARRAY:
                raise tokens.invalid("Value of numeric must be an array.")
            return _closed(tokens, _numeric(tokens), _TOO_MANY)
        case "exists":
            if tokens.next().raw not in ("true", "false"):
                raise tokens.invalid("exists match pattern must be either true or false.")
            return _closed(tokens, Exists(tokens.current.value))
        case "anything-but":
            return _anything_but(tokens)
    raise tokens.invalid(f"Unrecognized match type {name}")


def _closed(tokens: Tokens, pattern: ValuePattern, otherwise: str = _ONE_KEY) -> ValuePattern:
    if tokens.next().kind is not Kind.OBJECT_END:
        raise tokens.invalid(otherwise)
    return pattern


def _string(tokens: Tokens, operator: str) -> str:
    if tokens.next().kind is not Kind.STRING:
        raise tokens.invalid(f"{operator} match pattern must be a string")
    return tokens.text()


def _affix(tokens: Tokens, operator: str, make: type[Prefix] | type[Suffix]) -> ValuePattern:
    token = tokens.next()
    if token.kind is Kind.OBJECT:
        if tokens.next().kind is not Kind.NAME:
            raise tokens.invalid(f"{operator.capitalize()} expression name not found")
        if tokens.current.value != "equals-ignore-case":
            raise tokens.invalid(f"Unsupported {operator} pattern: {tokens.current.value}")
        text = fold(_string(tokens, "equals-ignore-case"))
        return _closed(tokens, _closed(tokens, make(text, True)))
    if token.kind is not Kind.STRING:
        raise tokens.invalid(f"{operator} match pattern must be a string")
    return _closed(tokens, make(tokens.text()))


def wildcard(tokens: Tokens, text: str) -> Wildcard:
    """Split a wildcard at its asterisks. Positions in errors count the bytes of the quoted text, as AWS's do."""
    parts = [""]
    at = 0
    while at < len(text):
        letter = text[at]
        following = text[at + 1 : at + 2]
        if letter == "*":
            if following == "*":
                raise tokens.invalid(f"Consecutive wildcard characters at pos {len(text[:at].encode()) + 1}")
            parts.append("")
        elif letter == "\\":
            if not following or following not in "*\\":
                raise tokens.invalid(f"Invalid escape character at pos {len(text[:at].encode()) + 1}")
            parts[-1] += following
            at += 1
        else:
            parts[-1] += letter
        at += 1
    if _complexity(parts) > _MAX_COMPLEXITY:
        raise InvalidEventPattern(_TOO_COMPLEX)
    return Wildcard(tuple(parts))


def _complexity(parts: list[str]) -> int:
    """How many prefixes of a wildcard are alive at once, at most, while its own text is read (None is an asterisk)."""
    letters: list[str | None] = [letter for part in parts for letter in (*part, None)][:-1]
    alive = {0}
    most = 1
    for read in letters:
        if read is None:
            continue
        after = set()
        for position in alive:
            if position < len(letters) and letters[position] is None:
                after.add(position)
                position += 1
            if position < len(letters) and letters[position] == read:
                after.add(position + 1)
        alive = after
        most = max(most, len(alive))
        if most > _MAX_COMPLEXITY:
            break
    return max(most, len(parts) - 1)


def cidr(text: str) -> Cidr:
    """A block of addresses. Raises InvalidEventPattern without a place, as AWS does."""
    address, _, mask = text.partition("/")
    if not address or not mask or "/" in mask:
        raise InvalidEventPattern("Malformed CIDR, one '/' required")
    try:
        mask_bits = int(mask)
    except ValueError:
        raise InvalidEventPattern("Malformed CIDR, mask bits must be an integer") from None
    if mask_bits < 0:
        raise InvalidEventPattern("Malformed CIDR, mask bits must not be negative")
    found = ip_address(address)
    if found is None:
        kind = "Invalid" if looks_like_ip(address) else "Nonstandard"
        raise InvalidEventPattern(f"{kind} IP address: {address}")
    version, low = found
    bits = 32 if version == 4 else 128
    if mask_bits >= bits:
        raise InvalidEventPattern(f"IPv{version} mask bits must be < {bits}")
    return Cidr(version, low, low | ((1 << (bits - mask_bits)) - 1), mask_bits)


def _numeric(tokens: Tokens) -> ValuePattern:
    if tokens.next().kind is not Kind.STRING:
        raise tokens.invalid(f"Invalid member in numeric match: {tokens.text()}")
    operator = tokens.text()
    if operator not in ("=", "<", "<=", ">", ">="):
        tokens.next()
        raise tokens.invalid(f"Unrecognized numeric range operator: {operator}")
    bound = _number(tokens, "equals" if operator == "=" else operator)
    after = tokens.next()
    if operator in (">", ">=") and after.kind is not Kind.ARRAY_END:
        return _upper_bound(tokens, bound, operator == ">")
    if after.kind is not Kind.ARRAY_END:
        raise tokens.invalid(_TOO_MANY)
    match operator:
        case "=":
            return ExactNumber(bound)
        case "<" | "<=":
            return Range(-_INFINITY, False, bound, operator == "<")
    return Range(bound, operator == ">", _INFINITY, False)


def _upper_bound(tokens: Tokens, low: float, low_open: bool) -> ValuePattern:
    if tokens.current.kind is not Kind.STRING:
        raise tokens.invalid(f"Bad value in numeric range: {tokens.text()}")
    operator = tokens.text()
    if operator not in ("<", "<="):
        raise tokens.invalid(f"Bad numeric range operator: {operator}")
    high = _number(tokens, operator)
    if tokens.next().kind is not Kind.ARRAY_END:
        raise tokens.invalid("Too many terms in numeric range expression")
    if high < low or (high == low and (low_open or operator == "<")):
        raise tokens.invalid("Bottom must be less than top")
    return Range(low, low_open, high, operator == "<")


def _number(tokens: Tokens, operator: str) -> float:
    if tokens.next().kind is not Kind.NUMBER:
        raise tokens.invalid(f"Value of {operator} must be numeric")
    return number(tokens.current.value)


def _anything_but(tokens: Tokens) -> ValuePattern:
    operator = ""
    if tokens.next().kind is Kind.OBJECT:
        if tokens.next().kind is not Kind.NAME:
            raise tokens.invalid("Anything-But expression name not found")
        operator = tokens.current.value
        if operator not in ("equals-ignore-case", "prefix", "suffix", "wildcard"):
            raise tokens.invalid(f"Unsupported anything-but pattern: {operator}")
        tokens.next()
    if tokens.current.kind not in (Kind.ARRAY, Kind.STRING, Kind.NUMBER):
        raise tokens.invalid("Value of anything-but must be an array or single string/number value.")
    refused: set[ValuePattern | str | float] = set()
    if tokens.current.kind is Kind.ARRAY:
        while tokens.next().kind is not Kind.ARRAY_END:
            refused.add(_refused(tokens, operator))
        if not refused and operator:
            raise tokens.invalid("Empty arrays are not allowed")
        if not operator and len({type(one) is str for one in refused}) != 1:
            raise tokens.invalid(
                "Inside anything but list, either all values are number or string, mixed type is not supported"
            )
    else:
        refused.add(_refused(tokens, operator))
    if not operator:
        return _closed(tokens, AnythingBut(frozenset(refused)), _TOO_MANY)  # type: ignore[arg-type]
    pattern = AnythingBut(frozenset(), frozenset(refused))  # type: ignore[arg-type]
    return _closed(tokens, _closed(tokens, pattern, _TOO_MANY), _TOO_MANY)


def _refused(tokens: Tokens, operator: str) -> ValuePattern | str | float:
    token = tokens.current
    if not operator:
        if token.kind is Kind.NUMBER:
            return number(token.value)
        if token.kind is Kind.STRING:
            return tokens.text()
        raise tokens.invalid("Inside anything but list, start|null|boolean is not supported.")
    if operator == "equals-ignore-case":
        if token.kind is not Kind.STRING:
            raise tokens.invalid(
                "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
            )
        return EqualsIgnoreCase(fold(tokens.text()))
    if operator == "wildcard":
        if token.kind is not Kind.STRING:
            raise tokens.invalid("wildcard match pattern must be a string")
        return wildcard(tokens, tokens.text())
    if token.kind is not Kind.STRING:
        raise tokens.invalid("prefix/suffix match pattern must be a string")
    text = tokens.text()
    if not text:
        raise tokens.invalid("Null prefix/suffix not allowed")
    return Prefix(text) if operator == "prefix" else Suffix(text)
