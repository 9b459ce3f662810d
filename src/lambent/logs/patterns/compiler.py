"""A pattern's kind is told by its first character."""

from __future__ import annotations

from lambent.logs.patterns.fields import compile_fields
from lambent.logs.patterns.json_selectors import compile_json
from lambent.logs.patterns.lexer import InvalidPattern, Matcher
from lambent.logs.patterns.terms import compile_terms

__all__ = ["InvalidPattern", "Matcher", "compile_pattern"]


def compile_pattern(pattern: str) -> Matcher:
    """What tests messages, and says what the pattern takes out of them. Raises InvalidPattern."""
    stripped = pattern.strip()
    if stripped.startswith("{"):
        return compile_json(stripped)
    if stripped.startswith("["):
        return compile_fields(stripped)
    return compile_terms(stripped)
