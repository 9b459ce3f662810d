"""Patterns of terms: all of those without a sign, none with `-`; if all are `?optional`, any of them."""

from __future__ import annotations

from lambent.logs.patterns.lexer import InvalidPattern, Matcher, Scanner, refuse_expression

_PLAIN = frozenset("_.:/@#=,-*$&;!'`~^|\\+")


def compile_terms(pattern: str) -> Matcher:
    """Terms are case-sensitive and may be part of a word. Raises InvalidPattern."""
    required, optional, excluded = _read(pattern)
    if not required and not excluded and optional:
        wanted = tuple(optional)
        return lambda message: {} if any(term in message for term in wanted) else None
    # User guide: beside other terms, those with "?" do not matter.

    def match(message: str) -> dict[str, str] | None:
        for term in required:
            if term not in message:
                return None
        for term in excluded:
            if term in message:
                return None
        return {}

    return match


def _read(pattern: str) -> tuple[list[str], list[str], list[str]]:
    scanner = Scanner(pattern)
    required: list[str] = []
    optional: list[str] = []
    excluded: list[str] = []
    while not scanner.ended:
        sign = scanner.try_take("?", "-")
        if scanner.at < len(pattern) and pattern[scanner.at].isspace():
            raise InvalidPattern(f"nothing follows {sign!r}")
        term = _term(scanner)
        (optional if sign == "?" else excluded if sign == "-" else required).append(term)
    return required, optional, excluded


def _term(scanner: Scanner) -> str:
    text = scanner.text
    if text[scanner.at : scanner.at + 1] == '"':
        scanner.at += 1
        return scanner.quoted()
    start = scanner.at
    while scanner.at < len(text) and (text[scanner.at].isalnum() or text[scanner.at] in _PLAIN):
        scanner.at += 1
    if scanner.at < len(text) and text[scanner.at] == "%":
        raise refuse_expression()
    if scanner.at == start or (scanner.at < len(text) and not text[scanner.at].isspace()):
        raise InvalidPattern(f"the character at {scanner.at + 1} must be in a quoted term")
    return text[start : scanner.at]
