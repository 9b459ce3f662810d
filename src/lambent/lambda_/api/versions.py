"""PublishVersion and ListVersionsByFunction."""

from __future__ import annotations

from lambent.core.arns import function_arn
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.core.pagination import paginate
from lambent.lambda_ import store
from lambent.lambda_.api import declarations
from lambent.lambda_.api.furniture import Parts, marked_number, page_limit, page_start
from lambent.lambda_.api.shapes import configuration_shape, listed_shape
from lambent.lambda_.errors import function_not_found
from lambent.lambda_.model import Version
from lambent.lambda_.names import parse_function, parse_unqualified
from lambent.lambda_.service import LAMBDA, LATEST
from lambent.lambda_.versions import check_code_sha256, check_update, get_function, publish
from lambent.storage.database import Transaction


def operations(parts: Parts) -> list[Operation]:
    """The operations on published versions."""

    async def publish_version(context: RequestContext, params: Params) -> Output:
        reference = parse_unqualified(context.scope, params["FunctionName"])

        def work(tx: Transaction) -> Version:
            function = get_function(tx, reference)
            check_update(function, params.get("RevisionId"))
            check_code_sha256(function, params.get("CodeSha256"))
            return publish(tx, function, parts.basics.new_id, description=params.get("Description"))

        version = await parts.change(reference, work)
        if version.status.changing:
            parts.lifecycle.begin(version)
        return configuration_shape(version, version.version)

    async def list_versions_by_function(context: RequestContext, params: Params) -> Output:
        reference = parse_function(context.scope, params["FunctionName"])
        list_name, limit = f"versions {reference.name}", page_limit(params)
        start = page_start(params, list_name)
        after = -1 if start is None else marked_number(start)

        def work(tx: Transaction) -> list[Version]:
            if not store.function_exists(tx, reference.scope, reference.name):
                raise function_not_found(function_arn(reference.scope, reference.name, LATEST))
            return store.list_versions(tx, reference.scope, reference.name, after, limit + 1)

        found = await parts.basics.database.read(work)
        page = paginate(found, lambda version: str(version.number), list_name, limit)
        return {
            "Versions": [listed_shape(version, version.version) for version in page.items],
            "NextMarker": page.next_marker,
        }

    return [
        Operation(
            service=LAMBDA,
            name="PublishVersion",
            handler=publish_version,
            enforced=("FunctionName", "CodeSha256", "Description", "RevisionId"),
            rejected={"PublishTo": declarations.PUBLISH_TO},
        ),
        Operation(
            service=LAMBDA,
            name="ListVersionsByFunction",
            handler=list_versions_by_function,
            enforced=("FunctionName", "Marker", "MaxItems"),
        ),
    ]
