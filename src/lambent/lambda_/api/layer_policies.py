"""AddLayerVersionPermission, RemoveLayerVersionPermission, GetLayerVersionPolicy."""

from __future__ import annotations

from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.lambda_ import layers
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.layers import LayerReference, parse_own_layer
from lambent.lambda_.policy_documents import Permission
from lambent.lambda_.service import LAMBDA

_WHICH = ("LayerName", "VersionNumber")


def operations(basics: Basics) -> list[Operation]:
    """The operations on layer version policies; AWS's API pages of the same names."""
    database = basics.database

    async def add_layer_version_permission(context: RequestContext, params: Params) -> Output:
        layer = _layer(context, params)
        new_revision = basics.new_id()
        permission = Permission(
            statement_id=params["StatementId"],
            action=params["Action"],
            principal=params["Principal"],
            principal_org_id=params.get("OrganizationId"),
        )
        statement = await database.run(
            lambda tx: layers.add_permission(
                tx, layer, permission, revision_id=params.get("RevisionId"), new_revision=new_revision
            ),
            key=(layer.scope, "layer", layer.name),
        )
        return {"Statement": statement, "RevisionId": new_revision}

    async def remove_layer_version_permission(context: RequestContext, params: Params) -> Output:
        layer = _layer(context, params)
        new_revision = basics.new_id()
        await database.run(
            lambda tx: layers.remove_permission(
                tx, layer, params["StatementId"], revision_id=params.get("RevisionId"), new_revision=new_revision
            ),
            key=(layer.scope, "layer", layer.name),
        )
        return None

    async def get_layer_version_policy(context: RequestContext, params: Params) -> Output:
        layer = _layer(context, params)
        policy = await database.read(lambda tx: layers.get_policy(tx, layer))
        return {"Policy": policy.document, "RevisionId": policy.revision_id}

    return [
        Operation(
            service=LAMBDA,
            name="AddLayerVersionPermission",
            handler=add_layer_version_permission,
            enforced=[*_WHICH, "StatementId", "Action", "Principal", "RevisionId"],
            simulated={
                "OrganizationId": "Stored and answered; accounts here belong to no organization, so such a grant lets "
                "no other account in."
            },
        ),
        Operation(
            service=LAMBDA,
            name="RemoveLayerVersionPermission",
            handler=remove_layer_version_permission,
            enforced=[*_WHICH, "StatementId", "RevisionId"],
        ),
        Operation(
            service=LAMBDA, name="GetLayerVersionPolicy", handler=get_layer_version_policy, enforced=list(_WHICH)
        ),
    ]


def _layer(context: RequestContext, params: Params) -> LayerReference:
    """Only a layer's own account sees and changes its policies."""
    return parse_own_layer(context.scope, params["LayerName"], params["VersionNumber"])
