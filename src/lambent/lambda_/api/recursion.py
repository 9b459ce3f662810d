"""PutFunctionRecursionConfig, GetFunctionRecursionConfig."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_ import recursion
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.names import parse_unqualified
from lambent.lambda_.service import LAMBDA

_NO_EFFECT = "Stored and answered; recursive loops are not detected yet, so none is ended."


def operations(basics: Basics) -> list[Operation]:
    """The operations on recursion configurations; AWS's API pages of the same names."""

    async def put(context: RequestContext, params: Params) -> Output:
        on = parse_unqualified(context.scope, params["FunctionName"])
        wanted = params["RecursiveLoop"]
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
            enforced=["FunctionName"],
            simulated={"RecursiveLoop": _NO_EFFECT},
        ),
        Operation(service=LAMBDA, name="GetFunctionRecursionConfig", handler=get, enforced=["FunctionName"]),
    ]
