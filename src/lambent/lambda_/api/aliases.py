"""Operations on aliases."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.core.pagination import paginate
from lambent.lambda_ import store
from lambent.lambda_.aliases import check_routing
from lambent.lambda_.api.furniture import Parts, page_limit, page_start
from lambent.lambda_.api.shapes import alias_shape
from lambent.lambda_.errors import ResourceConflict, ResourceNotFound, check_revision, function_not_found
from lambent.lambda_.model import Alias
from lambent.lambda_.names import parse_unqualified
from lambent.lambda_.service import LAMBDA
from lambent.lambda_.versions import check_exists
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    """CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases."""
    group = _Aliases(parts)
    named = ("FunctionName", "Name")
    pointing = (*named, "FunctionVersion", "Description", "RoutingConfig")
    listing = ("FunctionName", "FunctionVersion", "Marker", "MaxItems")
    return [
        Operation(service=LAMBDA, name="CreateAlias", handler=group.create, enforced=pointing),
        Operation(service=LAMBDA, name="GetAlias", handler=group.get, enforced=named),
        Operation(service=LAMBDA, name="UpdateAlias", handler=group.update, enforced=(*pointing, "RevisionId")),
        Operation(service=LAMBDA, name="DeleteAlias", handler=group.delete, enforced=named),
        Operation(service=LAMBDA, name="ListAliases", handler=group.list, enforced=listing),
    ]


class _Aliases:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._basics = parts.basics

    async def create(self, context: RequestContext, params: Params) -> Output:
        function = parse_unqualified(context.scope, params["FunctionName"])
        alias = Alias(
            scope=context.scope,
            function_name=function.name,
            name=params["Name"],
            function_version=params["FunctionVersion"],
            description=params.get("Description", ""),
            weights=_weights(params),
            revision_id=self._basics.new_id(),
        )

        def work(tx: Transaction) -> None:
            _check_target(tx, alias)
            if store.find_alias(tx, alias.scope, alias.function_name, alias.name) is not None:
                raise ResourceConflict(f"Alias already exists: {alias.arn}")
            store.save_alias(tx, alias)

        await self._parts.change(function, work)
        return alias_shape(alias)

    async def get(self, context: RequestContext, params: Params) -> Output:
        function = parse_unqualified(context.scope, params["FunctionName"])
        name = params["Name"]
        alias = await self._basics.database.read(lambda tx: store.find_alias(tx, context.scope, function.name, name))
        if alias is None:
            raise ResourceNotFound(f"Cannot find alias arn: {function.arn}:{name}")
        return alias_shape(alias)

    async def update(self, context: RequestContext, params: Params) -> Output:
        function = parse_unqualified(context.scope, params["FunctionName"])
        name = params["Name"]

        def work(tx: Transaction) -> Alias:
            current = store.find_alias(tx, context.scope, function.name, name)
            if current is None:
                raise ResourceNotFound(f"Alias not found: {function.arn}:{name}")
            check_revision(params.get("RevisionId"), current.revision_id)
            changed = msgspec.structs.replace(
                current,
                function_version=params.get("FunctionVersion", current.function_version),
                description=params.get("Description", current.description),
                weights=_weights(params) if "RoutingConfig" in params else current.weights,
                revision_id=self._basics.new_id(),
            )
            _check_target(tx, changed)
            store.save_alias(tx, changed)
            if changed.function_version != current.function_version:
                self._parts.attachments.alias_moved(tx, context.scope, function.name, name)
            return changed

        changed = await self._parts.change(function, work)
        await self._parts.attachments.after_qualifier_changed(context.scope, function.name)
        return alias_shape(changed)

    async def delete(self, context: RequestContext, params: Params) -> Output:
        function = parse_unqualified(context.scope, params["FunctionName"])

        def work(tx: Transaction) -> None:
            if not store.function_exists(tx, context.scope, function.name):
                raise function_not_found(function.arn)
            if store.delete_alias(tx, context.scope, function.name, params["Name"]):
                self._parts.attachments.qualifier_deleted(tx, context.scope, function.name, params["Name"])

        await self._parts.change(function, work)
        await self._parts.attachments.after_qualifier_changed(context.scope, function.name)
        return None

    async def list(self, context: RequestContext, params: Params) -> Output:
        function = parse_unqualified(context.scope, params["FunctionName"])
        list_name = f"aliases {function.name}"
        after, limit = page_start(params, list_name) or "", page_limit(params)

        def work(tx: Transaction) -> list[Alias]:
            if not store.function_exists(tx, context.scope, function.name):
                raise function_not_found(function.arn)
            version = params.get("FunctionVersion")
            return store.list_aliases(tx, context.scope, function.name, after, limit + 1, version)

        found = await self._basics.database.read(work)
        page = paginate(found, lambda alias: alias.name, list_name, limit)
        return {"Aliases": [alias_shape(alias) for alias in page.items], "NextMarker": page.next_marker}


def _weights(params: Params) -> Mapping[str, float]:
    routing = params.get("RoutingConfig") or {}
    return {version: float(weight) for version, weight in (routing.get("AdditionalVersionWeights") or {}).items()}


def _check_target(tx: Transaction, alias: Alias) -> None:
    check_routing(alias.function_version, alias.weights)
    for version in (alias.function_version, *alias.weights):
        check_exists(tx, alias.scope, alias.function_name, version)
