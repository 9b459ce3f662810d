"""What every group of operations is built from."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.limits import LAMBDA_PAGE_ITEMS
from lambent.core.operations import Params
from lambent.core.pagination import InvalidMarker, decode_marker
from lambent.lambda_.errors import InvalidParameterValue
from lambent.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Basics:
    """The least that a group of operations needs; groups that need more take it as further arguments."""

    database: Database  # control state
    clock: Clock
    new_id: IdSource  # revision ids


def page_limit(params: Params) -> int:
    """Items per page: what the caller asks for, at most 50 as on AWS."""
    return min(int(params.get("MaxItems", LAMBDA_PAGE_ITEMS)), LAMBDA_PAGE_ITEMS)


def page_start(params: Params, list_name: str) -> str | None:
    """The key after which the page starts, None for the first one. Raises InvalidParameterValue for a forged marker."""
    marker = params.get("Marker")
    if not marker:
        return None
    try:
        return decode_marker(list_name, marker)
    except InvalidMarker as error:
        raise InvalidParameterValue("Invalid pagination token") from error
