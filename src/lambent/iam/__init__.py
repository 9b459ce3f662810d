"""Identity and Access Management: roles, and the policies that say what they may do. Global: keyed by account alone."""

from __future__ import annotations

from lambent.iam.api import operations

__all__ = ["operations"]
