"""PutProvisionedConcurrencyConfig and its siblings Get, Delete and List."""

from __future__ import annotations

from typing import Any

from lambent.core.arns import function_arn
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.core.pagination import paginate
from lambent.lambda_.api.furniture import page_limit, page_start
from lambent.lambda_.api.shapes import timestamp
from lambent.lambda_.names import parse_function, parse_unqualified
from lambent.lambda_.provisioned import Provisioned, ProvisionedConcurrency
from lambent.lambda_.service import LAMBDA

_RETRIED = (
    "FAILED is no final state: a failed init is tried again with pauses from one second to five minutes. Invokes of a "
    "version draw on its places also while its environments come up, and then start environments of their own. An "
    "alias that is given weights later keeps its environments for its first version."
)


def operations(provisioned: ProvisionedConcurrency) -> list[Operation]:
    """The operations on provisioned concurrency; AWS's API pages of the same names."""

    async def put(context: RequestContext, params: Params) -> Output:
        on = parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))
        return _shape(await provisioned.put(on, params["ProvisionedConcurrentExecutions"]))

    async def get(context: RequestContext, params: Params) -> Output:
        return _shape(
            await provisioned.get(parse_function(context.scope, params["FunctionName"], params.get("Qualifier")))
        )

    async def delete(context: RequestContext, params: Params) -> Output:
        await provisioned.delete(parse_function(context.scope, params["FunctionName"], params.get("Qualifier")))
        return None

    async def list_configs(context: RequestContext, params: Params) -> Output:
        on = parse_unqualified(context.scope, params["FunctionName"])
        list_name, limit = f"provisioned {on.name}", page_limit(params)
        after = page_start(params, list_name) or ""
        found = [item for item in await provisioned.list_of(on) if item.config.qualifier > after]
        page = paginate(found[: limit + 1], lambda item: item.config.qualifier, list_name, limit)
        return {
            "ProvisionedConcurrencyConfigs": [
                {"FunctionArn": function_arn(on.scope, on.name, item.config.qualifier), **_shape(item)}
                for item in page.items
            ],
            "NextMarker": page.next_marker,
        }

    which = ("FunctionName", "Qualifier")
    return [
        Operation(
            service=LAMBDA,
            name="PutProvisionedConcurrencyConfig",
            handler=put,
            enforced=(*which, "ProvisionedConcurrentExecutions"),
            note=_RETRIED,
        ),
        Operation(service=LAMBDA, name="GetProvisionedConcurrencyConfig", handler=get, enforced=which),
        Operation(service=LAMBDA, name="DeleteProvisionedConcurrencyConfig", handler=delete, enforced=which),
        Operation(
            service=LAMBDA,
            name="ListProvisionedConcurrencyConfigs",
            handler=list_configs,
            enforced=("FunctionName", "Marker", "MaxItems"),
        ),
    ]


def _shape(provisioned: Provisioned) -> dict[str, Any]:
    config = provisioned.config
    shape: dict[str, Any] = {
        "RequestedProvisionedConcurrentExecutions": config.executions,
        "AvailableProvisionedConcurrentExecutions": provisioned.available,
        "AllocatedProvisionedConcurrentExecutions": provisioned.available,
        "Status": provisioned.status,
        "LastModified": timestamp(config.last_modified),
    }
    if provisioned.status_reason is not None:
        shape["StatusReason"] = provisioned.status_reason
    return shape
