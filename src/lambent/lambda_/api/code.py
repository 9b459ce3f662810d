"""UpdateFunctionCode."""

from __future__ import annotations

import msgspec

from lambent.core.limits import LAMBDA_CREATE_REQUEST_BYTES
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_ import changes
from lambent.lambda_.api import declarations
from lambent.lambda_.api.functions import request_too_large
from lambent.lambda_.api.furniture import Parts
from lambent.lambda_.api.shapes import configuration_shape
from lambent.lambda_.configuration import check_unzipped_size
from lambent.lambda_.errors import InvalidParameterValue
from lambent.lambda_.model import Function, Package, Version
from lambent.lambda_.names import parse_unqualified
from lambent.lambda_.service import LAMBDA
from lambent.lambda_.versions import check_update, get_function
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    """The operation on a function's code."""

    async def update_function_code(context: RequestContext, params: Params) -> Output:
        """API reference, UpdateFunctionCode. DryRun checks everything, the package too, and stores nothing."""
        reference = parse_unqualified(context.scope, params["FunctionName"])
        basics = parts.basics

        def checked(tx: Transaction) -> Function:
            function = get_function(tx, reference)
            check_update(function, params.get("RevisionId"))
            return function

        def changed(function: Function, package: Package) -> Version:
            latest = function.latest
            check_unzipped_size(package, latest.configuration.layers)
            configuration = latest.configuration
            if params.get("Architectures"):
                configuration = msgspec.structs.replace(configuration, architecture=params["Architectures"][0])
            return msgspec.structs.replace(latest, package=package, configuration=configuration)

        await basics.database.read(checked)
        if params.get("ImageUri"):
            raise InvalidParameterValue("Please don't provide ImageUri when updating a function with packageType Zip.")
        package = await parts.packages.receive(context.scope, params)
        if params.get("DryRun"):
            function = await basics.database.read(checked)
            return configuration_shape(changed(function, package), None)

        def work(tx: Transaction) -> tuple[Version, Version | None]:
            function = checked(tx)
            updated = changed(function, package)
            latest = changes.update(tx, function, updated, basics.new_id, basics.clock.now())
            published = changes.publish_changed(tx, latest, basics.new_id) if params.get("Publish") else None
            return latest, published

        latest, published = await parts.change(reference, work)
        parts.lifecycle.begin(latest)
        if published is not None:
            if published.status.changing:
                parts.lifecycle.begin(published)
            return configuration_shape(published, published.version)
        return configuration_shape(latest, None)

    return [
        Operation(
            service=LAMBDA,
            name="UpdateFunctionCode",
            handler=update_function_code,
            enforced=(
                "FunctionName",
                "ZipFile",
                "S3Bucket",
                "S3Key",
                "S3ObjectVersion",
                "ImageUri",
                "Publish",
                "DryRun",
                "RevisionId",
            ),
            simulated={"Architectures": declarations.ARCHITECTURES},
            rejected={
                "PublishTo": declarations.PUBLISH_TO,
                "S3ObjectStorageMode": declarations.STORAGE_MODE,
                "SourceKMSKeyArn": declarations.SOURCE_KMS,
            },
            max_body_bytes=LAMBDA_CREATE_REQUEST_BYTES,
            too_large=lambda: request_too_large("UpdateFunctionCode"),
            note="ImageUri is refused with AWS's error: every function here has packageType Zip",
        ),
    ]
