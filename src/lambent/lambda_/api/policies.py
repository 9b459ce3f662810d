"""AddPermission, RemovePermission, GetPolicy, and the policy as a whole: Put, Get and DeleteResourcePolicy."""

from __future__ import annotations

from lambent.core.arns import Arn
from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.lambda_ import policies
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.errors import ResourceNotFound
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.lambda_.policy_documents import Permission
from lambent.lambda_.service import LAMBDA

NOT_EVALUATED = "Stored and answered as AWS does; invokes are not checked against it until policies are evaluated."
_GRANT = (
    "Action",
    "Principal",
    "SourceArn",
    "SourceAccount",
    "PrincipalOrgID",
    "FunctionUrlAuthType",
    "EventSourceToken",
    "InvokedViaFunctionUrl",
)


def operations(basics: Basics) -> list[Operation]:
    """The operations on resource policies; AWS's API pages of the same names."""
    database = basics.database

    async def add_permission(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        new_revision = basics.new_id()
        statement = await database.run(
            lambda tx: policies.add_permission(
                tx, on, _permission(params), revision_id=params.get("RevisionId"), new_revision=new_revision
            ),
            key=(on.scope, on.name),
        )
        return {"Statement": statement}

    async def remove_permission(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        new_revision = basics.new_id()
        await database.run(
            lambda tx: policies.remove_permission(
                tx, on, params["StatementId"], revision_id=params.get("RevisionId"), new_revision=new_revision
            ),
            key=(on.scope, on.name),
        )
        return None

    async def get_policy(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        document, revision = await database.read(lambda tx: policies.get_policy(tx, on))
        return {"Policy": document, "RevisionId": revision}

    async def put_resource_policy(context: RequestContext, params: Params) -> Output:
        on = _resource(context.scope, params["ResourceArn"])
        new_revision = basics.new_id()
        await database.run(
            lambda tx: policies.put_policy(
                tx, on, params["Policy"], revision_id=params.get("RevisionId"), new_revision=new_revision
            ),
            key=(on.scope, on.name),
        )
        return {"Policy": params["Policy"], "RevisionId": new_revision}

    async def get_resource_policy(context: RequestContext, params: Params) -> Output:
        on = _resource(context.scope, params["ResourceArn"])
        document, revision = await database.read(lambda tx: policies.get_policy(tx, on))
        return {"Policy": document, "RevisionId": revision}

    async def delete_resource_policy(context: RequestContext, params: Params) -> Output:
        on = _resource(context.scope, params["ResourceArn"])
        new_revision = basics.new_id()
        await database.run(
            lambda tx: policies.delete_policy(tx, on, revision_id=params.get("RevisionId"), new_revision=new_revision),
            key=(on.scope, on.name),
        )
        return None

    return [
        Operation(
            service=LAMBDA,
            name="AddPermission",
            handler=add_permission,
            enforced=["FunctionName", "Qualifier", "StatementId", "RevisionId"],
            simulated=dict.fromkeys(_GRANT, NOT_EVALUATED),
            note="Whether a principal exists is not checked.",
        ),
        Operation(
            service=LAMBDA,
            name="RemovePermission",
            handler=remove_permission,
            enforced=["FunctionName", "Qualifier", "StatementId", "RevisionId"],
        ),
        Operation(service=LAMBDA, name="GetPolicy", handler=get_policy, enforced=["FunctionName", "Qualifier"]),
        Operation(
            service=LAMBDA,
            name="PutResourcePolicy",
            handler=put_resource_policy,
            enforced=["ResourceArn", "RevisionId"],
            simulated={"Policy": NOT_EVALUATED},
            note="The policy's grammar is checked; whether its principals exist is not.",
        ),
        Operation(service=LAMBDA, name="GetResourcePolicy", handler=get_resource_policy, enforced=["ResourceArn"]),
        Operation(
            service=LAMBDA,
            name="DeleteResourcePolicy",
            handler=delete_resource_policy,
            enforced=["ResourceArn", "RevisionId"],
        ),
    ]


def _function(context: RequestContext, params: Params) -> FunctionReference:
    return parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))


def _resource(scope: Scope, arn: str) -> FunctionReference:
    if not Arn.parse(arn).resource.startswith("function:"):  # a customer's own runtime, of which there are none
        raise ResourceNotFound("The resource you requested does not exist.")
    return parse_function(scope, arn)


def _permission(params: Params) -> Permission:
    return Permission(
        statement_id=params["StatementId"],
        action=params["Action"],
        principal=params["Principal"],
        source_arn=params.get("SourceArn"),
        source_account=params.get("SourceAccount"),
        principal_org_id=params.get("PrincipalOrgID"),
        function_url_auth_type=params.get("FunctionUrlAuthType"),
        event_source_token=params.get("EventSourceToken"),
        invoked_via_function_url=params.get("InvokedViaFunctionUrl", False),
    )
