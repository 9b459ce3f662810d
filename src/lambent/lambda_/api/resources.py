"""All operations on layers and on what hangs on functions, gathered for the composition root."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.core.operations import Operation
from lambent.lambda_.api import (
    account,
    code_signing,
    concurrency,
    event_invoke,
    layer_policies,
    layers,
    policies,
    recursion,
    runtime_management,
    tags,
)
from lambent.lambda_.api import (
    provisioned as provisioned_api,
)
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.directory import Directory
from lambent.lambda_.packages import Packages
from lambent.lambda_.provisioned import ProvisionedConcurrency


def operations(
    basics: Basics,
    *,
    directory: Directory,
    reserved: ReservedConcurrency,
    provisioned: ProvisionedConcurrency,
    packages: Packages,
    signing_key: bytes,
    concurrency_limit: int,
    storage_limit_bytes: int,
    taggable: Mapping[str, tags.ExistsById],
) -> list[Operation]:
    """Everything but functions, versions, aliases and invokes.

    The limits are those that GetAccountSettings shows; `taggable` are kinds of resources of other rooms.
    """
    return [
        *account.operations(basics, concurrency_limit=concurrency_limit, storage_limit_bytes=storage_limit_bytes),
        *code_signing.operations(basics),
        *concurrency.operations(reserved),
        *event_invoke.operations(basics),
        *layer_policies.operations(basics),
        *layers.operations(basics, packages, signing_key),
        *policies.operations(basics),
        *provisioned_api.operations(provisioned),
        *recursion.operations(basics, directory),
        *runtime_management.operations(basics),
        *tags.operations(basics, taggable),
    ]
