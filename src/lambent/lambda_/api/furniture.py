"""What every group of operations is built from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lambent.core.clock import Clock
from lambent.core.ids import IdSource
from lambent.core.limits import LAMBDA_PAGE_ITEMS
from lambent.core.operations import Params
from lambent.core.pagination import InvalidMarker, decode_marker
from lambent.execution.model import Engine
from lambent.lambda_.attachments import Attachments
from lambent.lambda_.directory import Directory, version_key
from lambent.lambda_.errors import InvalidParameterValue
from lambent.lambda_.layer_resolver import LayerResolver
from lambent.lambda_.lifecycle import Lifecycle
from lambent.lambda_.model import Version
from lambent.lambda_.names import FunctionReference
from lambent.lambda_.packages import Packages
from lambent.storage.database import Database, Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Basics:
    """The least that a group of operations needs; groups that need more take it as further arguments."""

    database: Database  # control state
    clock: Clock
    new_id: IdSource  # revision ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What operations on functions, versions and invokes are built from."""

    basics: Basics
    directory: Directory
    lifecycle: Lifecycle
    engine: Engine
    packages: Packages
    layers: LayerResolver
    attachments: Attachments
    signing_key: bytes  # signs Code.Location

    async def change(self, reference: FunctionReference, work: Callable[[Transaction], T]) -> T:
        """Run a unit of work that changes the function; invokes see its effect as soon as it is on disk."""
        with self.directory.changing(reference.scope, reference.name):
            return await self.basics.database.run(work, key=(reference.scope, reference.name))

    def retire(self, version: Version) -> None:
        """End the environments of a version that is no more."""
        self.engine.retire(version_key(version))


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


def marked_number(text: str) -> int:
    """The number in a marker's key. Raises InvalidParameterValue: a marker can be made up by whoever knows its form."""
    if not _NUMBER.fullmatch(text):
        raise InvalidParameterValue("Invalid pagination token")
    return int(text)


_NUMBER = re.compile(r"[0-9]{1,18}")  # what a database column holds
