"""The Security Token Service: who is calling, and temporary credentials."""

from __future__ import annotations

from lambent.sts.api import operations

__all__ = ["operations"]
