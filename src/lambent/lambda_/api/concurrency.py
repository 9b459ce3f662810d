"""PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_.concurrency import ReservedConcurrency
from lambent.lambda_.errors import FUNCTIONS_ONLY, InvalidParameterValue
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.lambda_.service import LAMBDA


def operations(reserved: ReservedConcurrency) -> list[Operation]:
    """The operations on reserved concurrency; AWS's API pages of the same names."""

    async def put_function_concurrency(context: RequestContext, params: Params) -> Output:
        executions = params["ReservedConcurrentExecutions"]
        await reserved.put(_whole_function(context, params), executions)
        return {"ReservedConcurrentExecutions": executions}

    async def get_function_concurrency(context: RequestContext, params: Params) -> Output:
        executions = await reserved.get(_whole_function(context, params))
        return {} if executions is None else {"ReservedConcurrentExecutions": executions}

    async def delete_function_concurrency(context: RequestContext, params: Params) -> Output:
        await reserved.delete(_whole_function(context, params))
        return None

    return [
        Operation(
            service=LAMBDA,
            name="PutFunctionConcurrency",
            handler=put_function_concurrency,
            enforced=["FunctionName", "ReservedConcurrentExecutions"],
        ),
        Operation(
            service=LAMBDA, name="GetFunctionConcurrency", handler=get_function_concurrency, enforced=["FunctionName"]
        ),
        Operation(
            service=LAMBDA,
            name="DeleteFunctionConcurrency",
            handler=delete_function_concurrency,
            enforced=["FunctionName"],
        ),
    ]


def _whole_function(context: RequestContext, params: Params) -> FunctionReference:
    """Unlike other operations on whole functions, these refuse `:$LATEST` too."""
    reference = parse_function(context.scope, params["FunctionName"])
    if reference.qualifier is not None:
        raise InvalidParameterValue(FUNCTIONS_ONLY)
    return reference
