"""Create-, Get-, List-, Update- and DeleteEventSourceMapping, on Lambda's wire (AWS's API pages of the same names)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext, Service
from lambent.core.pagination import InvalidMarker, decode_marker, paginate
from lambent.event_sources import validation
from lambent.event_sources.errors import InvalidParameterValue
from lambent.event_sources.mappings import Mappings
from lambent.event_sources.model import EventSourceMapping

# Lambda API reference, "ListEventSourceMappings".
PAGE_ITEMS: Final = 100

# AWS has this reason for mappings of queues, whatever happens to them.
_REASON: Final = "USER_INITIATED"
_LIST_NAME: Final = "event source mappings"

_SETTINGS: Final = (
    "Enabled",
    "BatchSize",
    "FilterCriteria",
    "ScalingConfig",
    "MaximumBatchingWindowInSeconds",
    "FunctionResponseTypes",
    "ProvisionedPollerConfig.MinimumPollers",
    "ProvisionedPollerConfig.MaximumPollers",
)
_SIMULATED: Final = {"MetricsConfig": "stored and shown; no metrics of mappings are published"}
_QUEUES_ONLY: Final = Rejection(reason="only SQS queues are event sources")
_REJECTED: Final = {
    "KMSKeyArn": Rejection(reason="there are no KMS keys; filters are stored as they are"),
    "ProvisionedPollerConfig.PollerGroupName": Rejection(reason="poller groups are of Kafka event sources"),
    "SourceAccessConfigurations": _QUEUES_ONLY,
    "AmazonManagedKafkaEventSourceConfig": _QUEUES_ONLY,
    "SelfManagedKafkaEventSourceConfig": _QUEUES_ONLY,
    "DocumentDBEventSourceConfig": _QUEUES_ONLY,
}
_REJECTED_AT_CREATION: Final = {
    **_REJECTED,
    "Topics": _QUEUES_ONLY,
    "Queues": _QUEUES_ONLY,
    "SelfManagedEventSource": _QUEUES_ONLY,
}
_NOTE: Final = (
    "SQS queues are the event sources there are; parameters of streams are refused in AWS's words. Unless --strict-aws "
    "is set, MaximumConcurrency goes up to 10,000 and beside ProvisionedPollerConfig too, there may be 10 filters, and "
    "an account number of less than 12 digits in an ARN means the caller's own."
)
# Rules of the service model that only hold as they are with --strict-aws.
_OWN_RULES: Final = ("eventSourceArn", "functionName", "scalingConfig.maximumConcurrency")


def operations(service: Service, mappings: Mappings, *, strict_aws: bool) -> list[Operation]:
    """The operations, to be registered beside Lambda's own; `service` is Lambda as its room declares it."""

    async def create(context: RequestContext, params: Params) -> Output:
        return shape_of(await mappings.create(context.scope, params))

    async def get(context: RequestContext, params: Params) -> Output:
        return shape_of(await mappings.get(context.scope, params["UUID"]))

    async def update(context: RequestContext, params: Params) -> Output:
        return shape_of(await mappings.update(context.scope, params["UUID"], params))

    async def delete(context: RequestContext, params: Params) -> Output:
        return shape_of(await mappings.delete(context.scope, params["UUID"]))

    async def list_mappings(context: RequestContext, params: Params) -> Output:
        limit = params.get("MaxItems") or PAGE_ITEMS
        found = await mappings.page(
            context.scope,
            event_source=params.get("EventSourceArn"),
            function=params.get("FunctionName"),
            after=_after(params.get("Marker")),
            limit=limit + 1,
        )
        page = paginate(found, lambda mapping: mapping.uuid, _LIST_NAME, limit)
        output: dict[str, Any] = {"EventSourceMappings": [shape_of(mapping) for mapping in page.items]}
        return output if page.next_marker is None else {**output, "NextMarker": page.next_marker}

    own_rules: Sequence[str] = () if strict_aws else _OWN_RULES
    updatable_foreign = tuple(
        name for name in validation.FOREIGN if name not in ("StartingPosition", "StartingPositionTimestamp")
    )
    return [
        Operation(
            service=service,
            name="CreateEventSourceMapping",
            handler=create,
            enforced=("EventSourceArn", "FunctionName", "Tags", *_SETTINGS, *validation.FOREIGN),
            simulated=_SIMULATED,
            rejected=_REJECTED_AT_CREATION,
            note=_NOTE,
            own_validation=own_rules,
        ),
        Operation(
            service=service,
            name="UpdateEventSourceMapping",
            handler=update,
            enforced=("UUID", "FunctionName", *_SETTINGS, *updatable_foreign),
            simulated=_SIMULATED,
            rejected=_REJECTED,
            own_validation=own_rules,
        ),
        Operation(service=service, name="GetEventSourceMapping", handler=get, enforced=("UUID",)),
        Operation(service=service, name="DeleteEventSourceMapping", handler=delete, enforced=("UUID",)),
        Operation(
            service=service,
            name="ListEventSourceMappings",
            handler=list_mappings,
            enforced=("EventSourceArn", "FunctionName", "Marker", "MaxItems"),
            own_validation=own_rules[:2],
        ),
    ]


def shape_of(mapping: EventSourceMapping) -> dict[str, Any]:
    """An EventSourceMappingConfiguration: the optional members only where they are configured."""
    settings = mapping.settings
    shape: dict[str, Any] = {
        "UUID": mapping.uuid,
        "EventSourceMappingArn": mapping.arn,
        "EventSourceArn": mapping.event_source_arn,
        "FunctionArn": mapping.function_arn,
        "BatchSize": settings.batch_size,
        "MaximumBatchingWindowInSeconds": settings.window_s,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if settings.report_batch_item_failures else [],
        "LastModified": mapping.last_modified,
        "State": mapping.state,
        "StateTransitionReason": _REASON,
    }
    if settings.filters:
        shape["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in settings.filters]}
    if settings.maximum_concurrency is not None:
        shape["ScalingConfig"] = {"MaximumConcurrency": settings.maximum_concurrency}
    if settings.pollers is not None:
        shape["ProvisionedPollerConfig"] = {
            "MinimumPollers": settings.pollers.minimum,
            "MaximumPollers": settings.pollers.maximum,
        }
    if settings.metrics:
        shape["MetricsConfig"] = {"Metrics": list(settings.metrics)}
    return shape


def _after(marker: str | None) -> str:
    if not marker:
        return ""
    try:
        return decode_marker(_LIST_NAME, marker)
    except InvalidMarker as error:
        raise InvalidParameterValue("Invalid pagination token") from error
