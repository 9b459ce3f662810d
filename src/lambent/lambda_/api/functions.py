"""CreateFunction, GetFunction, GetFunctionConfiguration, UpdateFunctionConfiguration, DeleteFunction, ListFunctions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lambent.core.limits import LAMBDA_CREATE_REQUEST_BYTES
from lambent.core.operations import Operation, Output, Params, Rejection, Reply, RequestContext
from lambent.core.pagination import encode_marker
from lambent.lambda_ import changes, code_location, store
from lambent.lambda_.api import declarations
from lambent.lambda_.api.furniture import Parts, marked_number, page_limit, page_start
from lambent.lambda_.api.shapes import configuration_shape, listed_shape, ready
from lambent.lambda_.configuration import (
    changed_configuration,
    check_unzipped_size,
    new_configuration,
    resolve_layers,
)
from lambent.lambda_.errors import RequestEntityTooLarge
from lambent.lambda_.model import Version
from lambent.lambda_.names import parse_function, parse_new_name, parse_unqualified
from lambent.lambda_.service import LAMBDA, LATEST
from lambent.lambda_.versions import check_update, delete_version, get_function, get_version
from lambent.storage.database import Transaction
from lambent.storage.read_cache import ReadCache


def operations(parts: Parts) -> list[Operation]:
    """The operations on whole functions."""
    group = _Functions(parts)
    qualified = ("FunctionName", "Qualifier")
    return [
        Operation(
            service=LAMBDA,
            name="CreateFunction",
            handler=group.create,
            enforced=(
                "FunctionName",
                *declarations.ENFORCED,
                "Code.ZipFile",
                "Code.S3Bucket",
                "Code.S3Key",
                "Code.S3ObjectVersion",
                "Publish",
                "Tags",
            ),
            simulated={**declarations.SIMULATED, "Architectures": declarations.ARCHITECTURES},
            rejected={
                **declarations.REJECTED,
                "Code.ImageUri": declarations.IMAGE_URI,
                "Code.SourceKMSKeyArn": declarations.SOURCE_KMS,
                "Code.S3ObjectStorageMode": declarations.STORAGE_MODE,
                "PackageType": declarations.PACKAGE_TYPE,
                "PublishTo": declarations.PUBLISH_TO,
                "CodeSigningConfigArn": declarations.CODE_SIGNING,
                "TenancyConfig": declarations.TENANCY,
            },
            max_body_bytes=LAMBDA_CREATE_REQUEST_BYTES,
            own_validation=("runtime",),
            too_large=lambda: request_too_large("CreateFunction"),
        ),
        Operation(service=LAMBDA, name="GetFunction", handler=group.get, enforced=qualified),
        Operation(service=LAMBDA, name="GetFunctionConfiguration", handler=group.get_configuration, enforced=qualified),
        Operation(
            service=LAMBDA,
            name="UpdateFunctionConfiguration",
            handler=group.update_configuration,
            enforced=("FunctionName", *declarations.ENFORCED, "RevisionId"),
            simulated=declarations.SIMULATED,
            rejected=declarations.REJECTED,
            own_validation=("runtime",),
        ),
        Operation(service=LAMBDA, name="DeleteFunction", handler=group.delete, enforced=qualified),
        Operation(
            service=LAMBDA,
            name="ListFunctions",
            handler=group.list,
            enforced=("FunctionVersion", "Marker", "MaxItems"),
            rejected={"MasterRegion": Rejection(reason="Lambda@Edge replicas do not exist here; leave it out")},
        ),
    ]


def request_too_large(operation: str) -> RequestEntityTooLarge:
    """The error for a create or update request whose body passes the limit."""
    return RequestEntityTooLarge(
        f"Request must be smaller than {LAMBDA_CREATE_REQUEST_BYTES} bytes for the {operation} operation"
    )


class _Functions:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._database = parts.basics.database
        self._reads = ReadCache(parts.basics.database)

    async def create(self, context: RequestContext, params: Params) -> Output:
        """API reference, CreateFunction. Everything that can refuse the request does so before anything is stored."""
        parts, reference = self._parts, parse_new_name(context.scope, params["FunctionName"])
        layer_arns: Sequence[str] = params.get("Layers") or ()
        configuration = new_configuration(reference.name, params)

        def check(tx: Transaction) -> None:
            changes.check_new(tx, reference)
            resolve_layers(tx, parts.layers, reference.scope, layer_arns)

        await self._database.read(check)
        package = await parts.packages.receive(context.scope, params["Code"])

        def work(tx: Transaction) -> tuple[Version, Version]:
            layers = resolve_layers(tx, parts.layers, reference.scope, layer_arns)
            check_unzipped_size(package, layers)
            complete = msgspec.structs.replace(configuration, layers=layers)
            latest = changes.create(tx, reference, complete, package, parts.basics.new_id, parts.basics.clock.now())
            if params.get("Tags"):
                parts.attachments.tag(tx, reference.scope, reference.name, params["Tags"])
            if not params.get("Publish"):
                return latest, latest
            return latest, changes.publish_changed(tx, latest, parts.basics.new_id)

        latest, answer = await parts.change(reference, work)
        parts.lifecycle.begin(latest)
        if answer is not latest:
            parts.lifecycle.begin(answer)
        return configuration_shape(answer, None)

    async def get(self, context: RequestContext, params: Params) -> Output:
        reference = parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))
        whole = reference.qualifier in (None, LATEST)

        def work(tx: Transaction) -> tuple[str, dict[str, Any]]:
            version = get_version(tx, reference)
            attachments = self._parts.attachments
            tags = attachments.tags(tx, reference.scope, reference.name) if whole else {}
            reserved = attachments.reserved_concurrency(tx, reference.scope, reference.name)
            output: dict[str, Any] = {"Configuration": ready(configuration_shape(version, reference.qualifier))}
            if tags:
                output["Tags"] = dict(tags)
            if reserved is not None:
                output["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
            return version.package.sha256, output

        sha256, output = await self._reads.read((context.scope, reference.name, reference.qualifier), work)
        token = code_location.mint(self._parts.signing_key, sha256, self._parts.basics.clock.now())
        location = code_location.url(context.endpoint, token)
        return {**output, "Code": {"RepositoryType": "S3", "Location": location}}

    async def get_configuration(self, context: RequestContext, params: Params) -> Output:
        reference = parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))
        version = await self._database.read(lambda tx: get_version(tx, reference))
        return configuration_shape(version, reference.qualifier)

    async def update_configuration(self, context: RequestContext, params: Params) -> Output:
        """API reference, UpdateFunctionConfiguration. Without any change it still is an update."""
        parts, reference = self._parts, parse_unqualified(context.scope, params["FunctionName"])

        def work(tx: Transaction) -> Version:
            function = get_function(tx, reference)
            check_update(function, params.get("RevisionId"))
            latest = function.latest
            changed = changed_configuration(latest.configuration, params)
            if "Layers" in params:
                current = latest.configuration.layers
                layers = resolve_layers(tx, parts.layers, reference.scope, params["Layers"], current)
                check_unzipped_size(latest.package, layers)
                changed = msgspec.structs.replace(changed, layers=layers)
            updated = msgspec.structs.replace(latest, configuration=changed)
            return changes.update(tx, function, updated, parts.basics.new_id, parts.basics.clock.now())

        version = await self._parts.change(reference, work)
        parts.lifecycle.begin(version)
        return configuration_shape(version, None)

    async def delete(self, context: RequestContext, params: Params) -> Output:
        """API reference, DeleteFunction: the whole function, or with a Qualifier one published version."""
        parts = self._parts
        reference = parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))

        def work(tx: Transaction) -> Sequence[Version]:
            if reference.qualifier is not None:
                deleted = delete_version(tx, reference)
                if deleted is None:
                    return ()
                parts.attachments.qualifier_deleted(tx, reference.scope, reference.name, deleted.version)
                return (deleted,)
            versions = changes.delete(tx, reference)
            parts.attachments.function_deleted(tx, reference.scope, reference.name)
            return versions

        for version in await self._parts.change(reference, work):
            parts.retire(version)
        if reference.qualifier is None:
            parts.attachments.after_function_deleted(reference.scope, reference.name)
        else:
            await parts.attachments.after_qualifier_changed(reference.scope, reference.name)
        return Reply(output={}, status=204)

    async def list(self, context: RequestContext, params: Params) -> Output:
        """API reference, ListFunctions; with FunctionVersion=ALL every version of every function."""
        scope, limit = context.scope, page_limit(params)
        every_version = params.get("FunctionVersion") == "ALL"
        list_name = "functions ALL" if every_version else "functions"
        after = page_start(params, list_name)

        def work(tx: Transaction) -> dict[str, Any]:
            if every_version:
                name, _, text = ("", "", "0") if after is None else after.rpartition(":")
                found = store.list_all_versions(tx, scope, (name, marked_number(text)), limit + 1)
                items = [ready(listed_shape(version, version.version)) for version in found[:limit]]
                key = f"{found[limit - 1].name}:{found[limit - 1].number}" if len(found) > limit else None
            else:
                found = store.list_functions(tx, scope, after or "", limit + 1)
                items = [ready(listed_shape(version, None)) for version in found[:limit]]
                key = found[limit - 1].name if len(found) > limit else None
            return {"Functions": items, "NextMarker": None if key is None else encode_marker(list_name, key)}

        return await self._reads.read((scope, list_name, after, limit), work)
