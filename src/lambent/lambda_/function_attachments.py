"""The attachments of functions, as `attachments.Attachments` asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.core.arns import function_arn
from lambent.core.operations import Scope
from lambent.lambda_ import (
    concurrency_store,
    event_invoke_store,
    policies_store,
    provisioned_store,
    recursion_store,
    runtime_management_store,
)
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.provisioned import ProvisionedConcurrency
from lambent.lambda_.tags import delete_tags, put_tags, tags_of
from lambent.storage.database import Transaction


class FunctionAttachments:
    """Tags, policies, reservations and configurations that hang on functions."""

    def __init__(self, reserved: ReservedConcurrency, provisioned: ProvisionedConcurrency) -> None:
        self._reserved = reserved
        self._provisioned = provisioned

    def tag(self, tx: Transaction, scope: Scope, name: str, tags: Mapping[str, str]) -> None:
        put_tags(tx, function_arn(scope, name), tags)

    def tags(self, tx: Transaction, scope: Scope, name: str) -> Mapping[str, str]:
        return tags_of(tx, function_arn(scope, name))

    def reserved_concurrency(self, tx: Transaction, scope: Scope, name: str) -> int | None:
        return concurrency_store.find_reserved(tx, scope, name)

    def qualifier_deleted(self, tx: Transaction, scope: Scope, name: str, qualifier: str) -> None:
        policies_store.delete_policy(tx, scope, name, qualifier)
        event_invoke_store.delete_config(tx, scope, name, qualifier)
        runtime_management_store.delete_version(tx, scope, name, qualifier)
        provisioned_store.delete_config(tx, scope, name, qualifier)

    def alias_moved(self, tx: Transaction, scope: Scope, name: str, alias: str) -> None:
        provisioned_store.delete_config(tx, scope, name, alias)

    async def after_qualifier_changed(self, scope: Scope, name: str) -> None:
        await self._provisioned.settle(scope, name)

    def function_deleted(self, tx: Transaction, scope: Scope, name: str) -> None:
        delete_tags(tx, function_arn(scope, name))
        policies_store.delete_policies(tx, scope, name)
        concurrency_store.delete_reserved(tx, scope, name)
        event_invoke_store.delete_configs(tx, scope, name)
        runtime_management_store.delete_function(tx, scope, name)
        recursion_store.delete_recursive_loop(tx, scope, name)
        provisioned_store.delete_configs(tx, scope, name)

    def after_function_deleted(self, scope: Scope, name: str) -> None:
        self._reserved.forget(scope, name)
        self._provisioned.forget(scope, name)
