"""TagResource, UntagResource, ListTags."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lambent.core.arns import Arn
from lambent.core.arns import arn as make_arn
from lambent.core.operations import Operation, Output, Params, RequestContext, Scope
from lambent.lambda_ import store, tags, tags_store
from lambent.lambda_.api.furniture import Basics
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound, function_not_found
from lambent.lambda_.names import parse_function
from lambent.lambda_.service import LAMBDA
from lambent.storage.database import Transaction

_NOT_OF_FUNCTIONS = "Tags on function aliases and versions are not supported. Please specify a function ARN."
# Further kinds of resources whose ARNs the service model allows, and what is said of one that is not there.
_OTHER_KINDS = {
    "event-source-mapping": "Event source mapping not found",
    "capacity-provider": "Capacity provider not found",
    "network-connector": "Network connector not found",
    "code-signing-config": "Code signing configuration not found",
}

ExistsById = Callable[[Transaction, Scope, str], bool]
"""Whether the scope has the resource of this id, which is what follows the kind in its ARN."""


def operations(basics: Basics, others: Mapping[str, ExistsById] = MappingProxyType({})) -> list[Operation]:
    """The operations on tags; AWS's API pages of the same names. `others` are the taggable kinds besides functions."""

    database = basics.database

    async def tag_resource(context: RequestContext, params: Params) -> Output:
        on, new = _resource(context.scope, params["Resource"], others), params["Tags"]
        if not new:
            raise InvalidParameterValue("An error occurred and the request cannot be processed.")

        def work(tx: Transaction) -> None:
            on.check_exists(tx)
            tags.put_tags(tx, on.arn, new)

        await database.run(work, key=on.key)
        return None

    async def untag_resource(context: RequestContext, params: Params) -> Output:
        on = _resource(context.scope, params["Resource"], others)

        def work(tx: Transaction) -> None:
            on.check_exists(tx)
            tags_store.remove_tags(tx, on.arn, params["TagKeys"])

        await database.run(work, key=on.key)
        return None

    async def list_tags(context: RequestContext, params: Params) -> Output:
        on = _resource(context.scope, params["Resource"], others)

        def work(tx: Transaction) -> dict[str, str]:
            on.check_exists(tx)
            return tags.tags_of(tx, on.arn)

        return {"Tags": await database.read(work)}

    return [
        Operation(service=LAMBDA, name="TagResource", handler=tag_resource, enforced=["Resource", "Tags"]),
        Operation(service=LAMBDA, name="UntagResource", handler=untag_resource, enforced=["Resource", "TagKeys"]),
        Operation(service=LAMBDA, name="ListTags", handler=list_tags, enforced=["Resource"]),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resource:
    """What is tagged. `check_exists` raises ResourceNotFound."""

    arn: str
    key: Hashable
    check_exists: Callable[[Transaction], None]


def _resource(scope: Scope, arn: str, others: Mapping[str, ExistsById]) -> _Resource:
    """The resource whose tags are meant.

    Raises ResourceNotFound for kinds of which there are none here, and InvalidParameterValue for a version or alias.
    """
    kind, _, resource_id = Arn.parse(arn).resource.partition(":")
    if kind not in _OTHER_KINDS:
        return _function(scope, arn)
    missing = ResourceNotFound(f"{_OTHER_KINDS[kind]}: {arn}")
    exists = others.get(kind)
    if exists is None or make_arn("lambda", scope, f"{kind}:{resource_id}") != arn:
        raise missing

    def check_exists(tx: Transaction) -> None:
        if not exists(tx, scope, resource_id):
            raise missing

    return _Resource(arn=arn, key=(scope, kind, resource_id), check_exists=check_exists)


def _function(scope: Scope, arn: str) -> _Resource:
    reference = parse_function(scope, arn)
    if reference.qualifier is not None:
        raise InvalidParameterValue(_NOT_OF_FUNCTIONS)

    def check_exists(tx: Transaction) -> None:
        if not store.function_exists(tx, reference.scope, reference.name):
            raise function_not_found(reference.arn)

    return _Resource(arn=reference.arn, key=(reference.scope, reference.name), check_exists=check_exists)
