"""Put, Update, Get, Delete and ListFunctionEventInvokeConfig(s)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lambent.core.arns import function_arn
from lambent.core.operations import Operation, Output, Params, RequestContext
from lambent.core.pagination import paginate
from lambent.lambda_ import event_invoke
from lambent.lambda_.api.furniture import Basics, page_limit, page_start
from lambent.lambda_.event_invoke import Settings
from lambent.lambda_.event_invoke_store import EventInvokeConfig
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.lambda_.service import LAMBDA
from lambent.storage.database import Transaction

_NO_EFFECT = "Stored and answered as AWS does; asynchronous invokes, which it governs, are not served yet."
_NO_DESTINATION = f"{_NO_EFFECT} Whether a queue, topic, event bus or bucket exists is not checked."
_SETTINGS = {
    "MaximumRetryAttempts": _NO_EFFECT,
    "MaximumEventAgeInSeconds": _NO_EFFECT,
    "DestinationConfig": _NO_DESTINATION,
}

_Change = Callable[[Transaction, FunctionReference, Settings, float], EventInvokeConfig]


def operations(basics: Basics) -> list[Operation]:
    """The operations on event invoke configurations; AWS's API pages of the same names."""
    database = basics.database

    async def change(context: RequestContext, params: Params, how: _Change) -> Output:
        on = _function(context, params)
        settings, now = _settings(params), basics.clock.now()
        return _output(on, await database.run(lambda tx: how(tx, on, settings, now), key=(on.scope, on.name)))

    async def put(context: RequestContext, params: Params) -> Output:
        return await change(context, params, event_invoke.put_config)

    async def update(context: RequestContext, params: Params) -> Output:
        return await change(context, params, event_invoke.update_config)

    async def get(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        return _output(on, await database.read(lambda tx: event_invoke.get_config(tx, on)))

    async def delete(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        await database.run(lambda tx: event_invoke.delete_config(tx, on), key=(on.scope, on.name))
        return None

    async def list_(context: RequestContext, params: Params) -> Output:
        on = _function(context, params)
        limit, list_name = page_limit(params), f"event-invoke:{on.arn}"
        after = page_start(params, list_name) or ""
        configs = await database.read(lambda tx: event_invoke.list_configs(tx, on, after, limit + 1))
        page = paginate(configs, lambda config: config.qualifier, list_name, limit)
        output: dict[str, Any] = {"FunctionEventInvokeConfigs": [_output(on, config) for config in page.items]}
        if page.next_marker is not None:
            output["NextMarker"] = page.next_marker
        return output

    which = ["FunctionName", "Qualifier"]
    return [
        Operation(
            service=LAMBDA, name="PutFunctionEventInvokeConfig", handler=put, enforced=which, simulated=_SETTINGS
        ),
        Operation(
            service=LAMBDA, name="UpdateFunctionEventInvokeConfig", handler=update, enforced=which, simulated=_SETTINGS
        ),
        Operation(service=LAMBDA, name="GetFunctionEventInvokeConfig", handler=get, enforced=which),
        Operation(service=LAMBDA, name="DeleteFunctionEventInvokeConfig", handler=delete, enforced=which),
        Operation(
            service=LAMBDA,
            name="ListFunctionEventInvokeConfigs",
            handler=list_,
            enforced=["FunctionName", "Marker", "MaxItems"],
        ),
    ]


def _function(context: RequestContext, params: Params) -> FunctionReference:
    return parse_function(context.scope, params["FunctionName"], params.get("Qualifier"))


def _settings(params: Params) -> Settings:
    destinations: Mapping[str, Mapping[str, str]] = params.get("DestinationConfig", {})
    return Settings(
        maximum_retry_attempts=params.get("MaximumRetryAttempts"),
        maximum_event_age_s=params.get("MaximumEventAgeInSeconds"),
        destinations_given="DestinationConfig" in params,
        on_success=destinations.get("OnSuccess", {}).get("Destination"),
        on_failure=destinations.get("OnFailure", {}).get("Destination"),
    )


def _output(on: FunctionReference, config: EventInvokeConfig) -> dict[str, Any]:
    output: dict[str, Any] = {
        "LastModified": config.last_modified,
        "FunctionArn": function_arn(on.scope, on.name, config.qualifier),
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success} if config.on_success else {},
            "OnFailure": {"Destination": config.on_failure} if config.on_failure else {},
        },
    }
    if config.maximum_retry_attempts is not None:
        output["MaximumRetryAttempts"] = config.maximum_retry_attempts
    if config.maximum_event_age_s is not None:
        output["MaximumEventAgeInSeconds"] = config.maximum_event_age_s
    return output
