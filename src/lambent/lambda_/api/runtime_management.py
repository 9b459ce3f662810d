"""PutRuntimeManagementConfig, GetRuntimeManagementConfig."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_ import runtime_management
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.model import Version
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.lambda_.runtime_management_store import RuntimeManagement
from lambent.lambda_.service import LAMBDA

_NO_EFFECT = (
    "Stored and answered. There is one version of each runtime: the interpreter on this machine with the bootstrap of "
    "this release, and both change when the machine's owner updates them."
)


def operations(basics: Basics) -> list[Operation]:
    """The operations on runtime management; AWS's API pages of the same names."""

    async def put(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        management = RuntimeManagement(
            update_runtime_on=params["UpdateRuntimeOn"], runtime_version_arn=params.get("RuntimeVersionArn")
        )
        version = await basics.database.run(
            lambda tx: runtime_management.put_runtime_management(tx, on, management), key=(on.scope, on.name)
        )
        return _output(version, management)

    async def get(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        return _output(*await basics.database.read(lambda tx: runtime_management.get_runtime_management(tx, on)))

    which = ["FunctionName", "Qualifier"]
    return [
        Operation(
            service=LAMBDA,
            name="PutRuntimeManagementConfig",
            handler=put,
            enforced=[*which, "RuntimeVersionArn"],
            simulated={"UpdateRuntimeOn": _NO_EFFECT},
            note="Manual accepts the runtime version that the function runs on, and no other.",
        ),
        Operation(service=LAMBDA, name="GetRuntimeManagementConfig", handler=get, enforced=which),
    ]


def _function(context: RequestContext, params: Params) -> FunctionReference:
    return parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))


def _output(version: Version, management: RuntimeManagement) -> dict[str, str]:
    output = {"UpdateRuntimeOn": management.update_runtime_on, "FunctionArn": version.qualified_arn}
    if management.runtime_version_arn is not None:
        output["RuntimeVersionArn"] = management.runtime_version_arn
    return output
