"""TagResource, UntagResource, ListTags."""

from __future__ import annotations

from lambent.core.arns import Arn
from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.lambda_ import store, tags, tags_store
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound, function_not_found
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.lambda_.service import LAMBDA
from lambent.storage.database import Transaction

_NOT_OF_FUNCTIONS = "Tags on function aliases and versions are not supported. Please specify a function ARN."
# Kinds of resources whose ARNs the service model allows and of which there are none here.
_ABSENT_KINDS = {
    "event-source-mapping": "Event source mapping not found",
    "capacity-provider": "Capacity provider not found",
    "network-connector": "Network connector not found",
    "code-signing-config": "Code signing configuration not found",
}


def operations(basics: Basics) -> list[Operation]:
    """The operations on tags; AWS's API pages of the same names."""

    database = basics.database

    async def tag_resource(context: RequestContext, params: Params) -> Output:
        on, new = _function(context.scope, params["Resource"]), params["Tags"]
        if not new:
            raise InvalidParameterValue("An error occurred and the request cannot be processed.")

        def work(tx: Transaction) -> None:
            _check_exists(tx, on)
            tags.put_tags(tx, on.arn, new)

        await database.run(work, key=(on.scope, on.name))
        return None

    async def untag_resource(context: RequestContext, params: Params) -> Output:
        on = _function(context.scope, params["Resource"])

        def work(tx: Transaction) -> None:
            _check_exists(tx, on)
            tags_store.remove_tags(tx, on.arn, params["TagKeys"])

        await database.run(work, key=(on.scope, on.name))
        return None

    async def list_tags(context: RequestContext, params: Params) -> Output:
        on = _function(context.scope, params["Resource"])

        def work(tx: Transaction) -> dict[str, str]:
            _check_exists(tx, on)
            return tags.tags_of(tx, on.arn)

        return {"Tags": await database.read(work)}

    return [
        Operation(service=LAMBDA, name="TagResource", handler=tag_resource, enforced=["Resource", "Tags"]),
        Operation(service=LAMBDA, name="UntagResource", handler=untag_resource, enforced=["Resource", "TagKeys"]),
        Operation(service=LAMBDA, name="ListTags", handler=list_tags, enforced=["Resource"]),
    ]


def _function(scope: Scope, arn: str) -> FunctionReference:
    """The function whose tags are meant.

    Raises ResourceNotFound for the other kinds of resources, and InvalidParameterValue for a version or alias.
    """
    kind = Arn.parse(arn).resource.split(":", 1)[0]
    if kind in _ABSENT_KINDS:
        raise ResourceNotFound(f"{_ABSENT_KINDS[kind]}: {arn}")
    reference = parse_function(scope, arn)
    if reference.qualifier is not None:
        raise InvalidParameterValue(_NOT_OF_FUNCTIONS)
    return reference


def _check_exists(tx: Transaction, on: FunctionReference) -> None:
    if not store.function_exists(tx, on.scope, on.name):
        raise function_not_found(on.arn)
