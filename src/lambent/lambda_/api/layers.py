"""Layer versions: publish, get, list, delete."""

from __future__ import annotations

from typing import Any

from lambent.core.limits import LAMBDA_CREATE_REQUEST_BYTES
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.core.pagination import paginate
from lambent.lambda_ import code_location, layers, layers_store
from lambent.lambda_.api import declarations
from lambent.lambda_.api.functions import request_too_large
from lambent.lambda_.api.furniture import Basics, marked_number, page_limit, page_start
from lambent.lambda_.api.shapes import timestamp
from lambent.lambda_.hashes import base64_of
from lambent.lambda_.layers import LayerReference, parse_layer, parse_layer_version, parse_own_layer
from lambent.lambda_.layers_store import Filter, LayerVersion
from lambent.lambda_.model import Package
from lambent.lambda_.packages import Packages
from lambent.lambda_.service import LAMBDA
from lambent.storage.database import Transaction

_ALL_VERSIONS = 2**31 - 1  # above every version number
_LISTED = ("CompatibleArchitecture", "CompatibleRuntime", "Marker", "MaxItems")
_HINT = "Shown and used to filter lists, as on AWS; a function of another runtime or architecture may use the layer."


def operations(basics: Basics, packages: Packages, signing_key: bytes) -> list[Operation]:
    """The operations on layer versions; AWS's API pages of the same names. `signing_key` signs Content.Location."""
    database = basics.database

    def output(context: RequestContext, layer: LayerVersion) -> dict[str, Any]:
        token = code_location.mint(signing_key, layer.package.sha256, basics.clock.now())
        return {
            **_listed(layer),
            "LayerArn": layer.layer_arn,
            "Content": {
                "Location": code_location.url(context.endpoint, token),
                "CodeSha256": base64_of(layer.package.sha256),
                "CodeSize": layer.package.zip_bytes,
            },
        }

    async def publish_layer_version(context: RequestContext, params: Params) -> Output:
        layer = parse_own_layer(context.scope, params["LayerName"])
        now = basics.clock.now()
        package = await packages.receive(context.scope, params["Content"])
        published = await database.run(
            lambda tx: _publish(tx, layer, package, params, now), key=(layer.scope, "layer", layer.name)
        )
        return output(context, published)

    async def get_layer_version(context: RequestContext, params: Params) -> Output:
        layer = parse_layer(context.scope, params["LayerName"], params["VersionNumber"])
        return output(context, await database.read(lambda tx: layers.get_version(tx, context.scope, layer)))

    async def get_layer_version_by_arn(context: RequestContext, params: Params) -> Output:
        layer = parse_layer_version(params["Arn"])
        return output(context, await database.read(lambda tx: layers.get_version(tx, context.scope, layer)))

    async def list_layers(context: RequestContext, params: Params) -> Output:
        limit, after = page_limit(params), page_start(params, "layers") or ""
        found = await database.read(
            lambda tx: layers_store.list_layers(tx, context.scope, after, limit + 1, _filter(params))
        )
        page = paginate(found, lambda layer: layer.name, "layers", limit)
        items = [
            {"LayerName": layer.name, "LayerArn": layer.layer_arn, "LatestMatchingVersion": _listed(layer)}
            for layer in page.items
        ]
        return _page("Layers", items, page.next_marker)

    async def list_layer_versions(context: RequestContext, params: Params) -> Output:
        layer = parse_own_layer(context.scope, params["LayerName"])
        list_name = f"versions of {layer.arn}"
        limit, start = page_limit(params), page_start(params, list_name)
        before = _ALL_VERSIONS if start is None else marked_number(start)
        found = await database.read(
            lambda tx: layers_store.list_versions(tx, layer.scope, layer.name, before, limit + 1, _filter(params))
        )
        page = paginate(found, lambda version: str(version.version), list_name, limit)
        return _page("LayerVersions", [_listed(version) for version in page.items], page.next_marker)

    async def delete_layer_version(context: RequestContext, params: Params) -> Output:
        number = params["VersionNumber"]
        layer = parse_own_layer(context.scope, params["LayerName"], number)
        await database.run(
            lambda tx: layers_store.delete_version(tx, layer.scope, layer.name, number),
            key=(layer.scope, "layer", layer.name),
        )
        return None

    return [
        Operation(
            service=LAMBDA,
            name="PublishLayerVersion",
            handler=publish_layer_version,
            enforced=[
                "LayerName",
                "Description",
                "LicenseInfo",
                "Content.ZipFile",
                "Content.S3Bucket",
                "Content.S3Key",
                "Content.S3ObjectVersion",
                "CompatibleRuntimes",
                "CompatibleArchitectures",
            ],
            rejected={"Content.S3ObjectStorageMode": declarations.STORAGE_MODE},
            max_body_bytes=LAMBDA_CREATE_REQUEST_BYTES,
            too_large=lambda: request_too_large("PublishLayerVersion"),
            note=_HINT,
        ),
        Operation(
            service=LAMBDA,
            name="GetLayerVersion",
            handler=get_layer_version,
            enforced=["LayerName", "VersionNumber"],
        ),
        Operation(service=LAMBDA, name="GetLayerVersionByArn", handler=get_layer_version_by_arn, enforced=["Arn"]),
        Operation(service=LAMBDA, name="ListLayers", handler=list_layers, enforced=_LISTED),
        Operation(
            service=LAMBDA, name="ListLayerVersions", handler=list_layer_versions, enforced=["LayerName", *_LISTED]
        ),
        Operation(
            service=LAMBDA,
            name="DeleteLayerVersion",
            handler=delete_layer_version,
            enforced=["LayerName", "VersionNumber"],
            note="Functions that use the version keep it.",
        ),
    ]


def _publish(tx: Transaction, layer: LayerReference, package: Package, params: Params, now: float) -> LayerVersion:
    runtimes, architectures = params.get("CompatibleRuntimes"), params.get("CompatibleArchitectures")
    version = LayerVersion(
        scope=layer.scope,
        name=layer.name,
        version=layers_store.next_version(tx, layer.scope, layer.name),
        package=package,
        created_at=now,
        description=params.get("Description", ""),
        runtimes=tuple(runtimes) if runtimes else None,
        architectures=tuple(architectures) if architectures else None,
        license_info=params.get("LicenseInfo"),
    )
    layers_store.insert_version(tx, version)
    return version


def _filter(params: Params) -> Filter:
    return Filter(runtime=params.get("CompatibleRuntime"), architecture=params.get("CompatibleArchitecture"))


def _listed(layer: LayerVersion) -> dict[str, Any]:
    """A LayerVersionsListItem."""
    item: dict[str, Any] = {
        "LayerVersionArn": layer.arn,
        "Version": layer.version,
        "Description": layer.description,
        "CreatedDate": timestamp(layer.created_at),
    }
    if layer.runtimes is not None:
        item["CompatibleRuntimes"] = list(layer.runtimes)
    if layer.architectures is not None:
        item["CompatibleArchitectures"] = list(layer.architectures)
    if layer.license_info is not None:
        item["LicenseInfo"] = layer.license_info
    return item


def _page(member: str, items: list[dict[str, Any]], next_marker: str | None) -> dict[str, Any]:
    return {member: items} if next_marker is None else {member: items, "NextMarker": next_marker}
