"""Every table of the Lambda room."""

from __future__ import annotations

from lambent.lambda_ import (
    concurrency_store,
    event_invoke_store,
    layers_store,
    policies_store,
    provisioned_store,
    recursion_store,
    runtime_management_store,
    store,
    tags_store,
)
from lambent.storage.migrations import Migration

MIGRATIONS: tuple[Migration, ...] = (
    *store.MIGRATIONS,
    *layers_store.MIGRATIONS,
    *tags_store.MIGRATIONS,
    *policies_store.MIGRATIONS,
    *concurrency_store.MIGRATIONS,
    *event_invoke_store.MIGRATIONS,
    *runtime_management_store.MIGRATIONS,
    *recursion_store.MIGRATIONS,
    *provisioned_store.MIGRATIONS,
)
