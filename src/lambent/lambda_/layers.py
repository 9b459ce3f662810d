"""Layer versions: what they are called, who may use them, and what functions get of them."""

from __future__ import annotations

import re

import msgspec

from lambent.core.arns import arn
from lambent.core.errors import AccessDenied
from lambent.core.operations import Scope
from lambent.lambda_ import layers_store
from lambent.lambda_.errors import InvalidParameterValue, PreconditionFailed, ResourceNotFound
from lambent.lambda_.layer_resolver import ResolvedLayer
from lambent.lambda_.layers_store import LayerPolicy, LayerVersion
from lambent.lambda_.policy_documents import (
    Permission,
    add_statement,
    build_statement,
    encode,
    remove_statement,
    statements_of,
)
from lambent.storage.database import Transaction

NO_SUCH_RESOURCE = "The resource you requested does not exist."
_STALE_POLICY = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the "
    "latest Revision Id"
)
_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):layer:(?P<name>[a-zA-Z0-9-_]+)"
    r"(?::(?P<version>[0-9]+))?"
)


class LayerReference(msgspec.Struct, frozen=True, kw_only=True):
    """A layer, or with a version one of its versions; `scope` is its own, not the caller's."""

    scope: Scope
    name: str
    version: int | None = None

    @property
    def arn(self) -> str:
        """With the version number where there is one."""
        layer = arn("lambda", self.scope, f"layer:{self.name}")
        return layer if self.version is None else f"{layer}:{self.version}"


def parse_layer(scope: Scope, text: str, version: int | None = None) -> LayerReference:
    """Resolve a LayerName parameter (a name, or an ARN that may be another account's), and the VersionNumber beside it.

    Raises InvalidParameterValue for a version below 1.
    """
    if version is not None and version < 1:
        raise InvalidParameterValue("Layer Version Cannot be less than 1")
    match = _ARN.fullmatch(text)
    if match is None:
        return LayerReference(scope=scope, name=text, version=version)
    owner = Scope(account=match["account"], region=match["region"])
    return LayerReference(scope=owner, name=match["name"], version=version)


def parse_own_layer(scope: Scope, text: str, version: int | None = None) -> LayerReference:
    """Resolve a LayerName of an operation on the caller's own layers.

    Raises as `parse_layer`, AccessDenied (another account) and InvalidParameterValue (another region).
    """
    layer = parse_layer(scope, text, version)
    if layer.scope.account != scope.account:
        raise AccessDenied()
    if layer.scope.region != scope.region:
        raise InvalidParameterValue(f"The layer {text} is not in this region ({scope.region}).")
    return layer


def parse_layer_version(text: str) -> LayerReference | None:
    """Resolve a layer version's ARN; None for what is none (or one that AWS owns)."""
    match = _ARN.fullmatch(text)
    if match is None or match["version"] is None:
        return None
    owner = Scope(account=match["account"], region=match["region"])
    return LayerReference(scope=owner, name=match["name"], version=int(match["version"]))


def get_version(tx: Transaction, scope: Scope, layer: LayerReference | None) -> LayerVersion:
    """The layer version as `scope` sees it.

    Raises ResourceNotFound, and AccessDenied for another account's without permission.
    """
    found = None
    if layer is not None and layer.version is not None and layer.scope.region == scope.region:
        found = layers_store.find_version(tx, layer.scope, layer.name, layer.version)
    if found is None:
        raise ResourceNotFound(NO_SUCH_RESOURCE)
    _check_access(tx, scope, found)
    return found


class Layers:
    """The `LayerResolver` of this account's and other accounts' layers."""

    def resolve(self, tx: Transaction, scope: Scope, layer_version_arn: str) -> ResolvedLayer:
        layer = parse_layer_version(layer_version_arn)
        if layer is not None and layer.scope.region != scope.region:
            raise InvalidParameterValue(
                "Layers are not in the same region as the function. "
                f"Layers are expected to be in region {scope.region}."
            )
        found = None
        if layer is not None and layer.version is not None:
            found = layers_store.find_version(tx, layer.scope, layer.name, layer.version)
        if found is None:
            raise InvalidParameterValue(f"Layer version {layer_version_arn} does not exist.")
        _check_access(tx, scope, found)
        return ResolvedLayer(
            arn=layer_version_arn,
            code_size=found.package.zip_bytes,
            sha256=found.package.sha256,
            unzipped_bytes=found.package.unzipped_bytes,
        )


def add_permission(
    tx: Transaction, layer: LayerReference, permission: Permission, *, revision_id: str | None, new_revision: str
) -> str:
    """Add a grant to a layer version's policy; the statement's JSON text.

    Raises ResourceNotFound, PreconditionFailed, ResourceConflict, InvalidParameterValue and PolicyLengthExceeded.
    """
    if permission.principal_org_id is not None and permission.principal != "*":
        raise InvalidParameterValue("Principal must be * when OrganizationId is given.")
    version, policy = _version_and_policy(tx, layer)
    statement = build_statement(permission, layer.arn, layer.scope.partition)
    _check_revision(policy, revision_id)
    document = add_statement(None if policy is None else policy.document, statement)
    new = LayerPolicy(document=document, revision_id=new_revision)
    layers_store.save_policy(tx, layer.scope, layer.name, version, new)
    return encode(statement)


def remove_permission(
    tx: Transaction, layer: LayerReference, statement_id: str, *, revision_id: str | None, new_revision: str
) -> None:
    """Remove a grant, and the policy with its last one. Raises ResourceNotFound and PreconditionFailed."""
    version, policy = _version_and_policy(tx, layer)
    _check_revision(policy, revision_id)
    if policy is None:
        raise ResourceNotFound(f"Statement {statement_id} is not found in resource policy.")
    document = remove_statement(policy.document, statement_id)
    left = None if document is None else LayerPolicy(document=document, revision_id=new_revision)
    layers_store.save_policy(tx, layer.scope, layer.name, version, left)


def get_policy(tx: Transaction, layer: LayerReference) -> LayerPolicy:
    """Raises ResourceNotFound when there is no such layer version, or it has no policy."""
    _, policy = _version_and_policy(tx, layer)
    if policy is None:
        raise ResourceNotFound("No policy is associated with the given resource.")
    return policy


def _version_and_policy(tx: Transaction, layer: LayerReference) -> tuple[int, LayerPolicy | None]:
    version = layer.version
    if version is None or layers_store.find_version(tx, layer.scope, layer.name, version) is None:
        raise ResourceNotFound(f"Layer version {layer.arn} does not exist.")
    return version, layers_store.find_policy(tx, layer.scope, layer.name, version)


def _check_revision(policy: LayerPolicy | None, given: str | None) -> None:
    if given and (policy is None or policy.revision_id != given):
        raise PreconditionFailed(_STALE_POLICY)


def _check_access(tx: Transaction, caller: Scope, layer: LayerVersion) -> None:
    """Another account uses a layer version only where its policy says so: everyone, or that account.

    A grant to an organization lets nobody in, since accounts here belong to none.
    """
    if caller.account == layer.scope.account:
        return
    policy = layers_store.find_policy(tx, layer.scope, layer.name, layer.version)
    root = f"arn:{caller.partition}:iam::{caller.account}:root"
    for statement in statements_of(None if policy is None else policy.document):
        if "Condition" not in statement and statement["Principal"] in ("*", {"AWS": root}):
            return
    raise AccessDenied(
        f"User: {root} is not authorized to perform: lambda:GetLayerVersion on resource: {layer.arn} because no "
        "resource-based policy allows the lambda:GetLayerVersion action"
    )
