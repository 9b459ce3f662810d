"""GetFunctionCodeSigningConfig.

Code signing configurations cannot be created here, so no function has one; tools that ask (Terraform) learn that.
"""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_ import store
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.errors import function_not_found
from lambent.lambda_.names import parse_function
from lambent.lambda_.service import LAMBDA


def operations(basics: Basics) -> list[Operation]:
    """The one operation on code signing that has a true answer; AWS's API page of the same name."""

    async def get(context: RequestContext, params: Params) -> Output:
        on = parse_function(context.scope, params["FunctionName"])
        if not await basics.database.read(lambda tx: store.function_exists(tx, on.scope, on.name)):
            raise function_not_found(on.arn)
        return {"CodeSigningConfigArn": "", "FunctionName": on.name}

    return [
        Operation(
            service=LAMBDA,
            name="GetFunctionCodeSigningConfig",
            handler=get,
            enforced=["FunctionName"],
            note="No function has a code signing configuration: they cannot be created here.",
        )
    ]
