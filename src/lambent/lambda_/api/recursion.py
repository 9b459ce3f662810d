"""PutFunctionRecursionConfig, GetFunctionRecursionConfig."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_ import recursion
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.directory import Directory
from lambent.lambda_.names import parse_unqualified
from lambent.lambda_.service import LAMBDA

_NOTE = (
    "Counted are runs in a chain of invokes whose requests carry the trace header that the function was given, as "
    "AWS's SDKs send it."
)


def operations(basics: Basics, directory: Directory) -> list[Operation]:
    """The operations on recursion configurations; AWS's API pages of the same names."""

    async def put(context: RequestContext, params: Params) -> Output:
        on = parse_unqualified(context.scope, params["FunctionName"])
        wanted = params["RecursiveLoop"]
        with directory.changing(on.scope, on.name):
            await basics.database.run(lambda tx: recursion.put_recursive_loop(tx, on, wanted), key=(on.scope, on.name))
        return {"RecursiveLoop": wanted}

    async def get(context: RequestContext, params: Params) -> Output:
        on = parse_unqualified(context.scope, params["FunctionName"])
        return {"RecursiveLoop": await basics.database.read(lambda tx: recursion.get_recursive_loop(tx, on))}

    return [
        Operation(
            service=LAMBDA,
            name="PutFunctionRecursionConfig",
            handler=put,
            enforced=["FunctionName", "RecursiveLoop"],
            note=_NOTE,
        ),
        Operation(service=LAMBDA, name="GetFunctionRecursionConfig", handler=get, enforced=["FunctionName"]),
    ]
