"""GetAccountSettings."""

from __future__ import annotations

from lambent.core.limits import LAMBDA_UNZIPPED_BYTES, LAMBDA_ZIPPED_BYTES
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_ import account
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.service import LAMBDA


def operations(basics: Basics, *, concurrency_limit: int, storage_limit_bytes: int) -> list[Operation]:
    """The operation on account settings; AWS's API page of the same name. The limits are this server's own."""

    async def get_account_settings(context: RequestContext, params: Params) -> Output:
        used = await basics.database.read(lambda tx: account.usage(tx, context.scope))
        return {
            "AccountLimit": {
                "TotalCodeSize": storage_limit_bytes,
                "CodeSizeUnzipped": LAMBDA_UNZIPPED_BYTES,
                "CodeSizeZipped": LAMBDA_ZIPPED_BYTES,
                "ConcurrentExecutions": concurrency_limit,
                "UnreservedConcurrentExecutions": concurrency_limit - used.claimed_executions,
            },
            "AccountUsage": {"TotalCodeSize": used.code_bytes, "FunctionCount": used.functions},
        }

    return [Operation(service=LAMBDA, name="GetAccountSettings", handler=get_account_settings)]
