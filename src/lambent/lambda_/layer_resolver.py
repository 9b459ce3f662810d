"""What functions need of layers: from a layer version ARN to the package that is mounted at /opt."""

from __future__ import annotations

from typing import Protocol

import msgspec

from lambent.core.operations import Scope
from lambent.storage.database import Transaction


class ResolvedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer version that a function refers to. It stays usable after the layer version is deleted."""

    arn: str
    code_size: int  # zipped bytes, as answered in Layers[].CodeSize
    sha256: str  # hex, of the zip
    unzipped_bytes: int


class LayerResolver(Protocol):
    """Finds layer versions."""

    def resolve(self, tx: Transaction, scope: Scope, arn: str) -> ResolvedLayer:
        """The layer version `arn` as `scope` sees it.

        Raises InvalidParameterValue: `Layer version <arn> does not exist.`, `Layers are not in the same region as
        the function. Layers are expected to be in region <r>.`; AccessDenied for another account's without permission.
        """
