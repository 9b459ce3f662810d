"""Filter patterns (CloudWatch Logs user guide, "Filter pattern syntax"): terms, JSON selectors, delimited fields."""

from lambent.logs.patterns.compiler import InvalidPattern, Matcher, compile_pattern

__all__ = ["InvalidPattern", "Matcher", "compile_pattern"]
