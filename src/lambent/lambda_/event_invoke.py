"""What asynchronous invokes of a function, version or alias do with failures and results: stored per qualifier."""

from __future__ import annotations

import re

import msgspec

from lambent.core.arns import Arn
from lambent.core.operations import Scope
from lambent.lambda_ import event_invoke_store, store
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound
from lambent.lambda_.event_invoke_store import EventInvokeConfig
from lambent.lambda_.names import FunctionReference, parse_function
from lambent.lambda_.service import LATEST
from lambent.storage.database import Transaction

NO_FUNCTION = "The function doesn't exist."

_S3_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a request sets. Destinations None: not given; "": none."""

    maximum_retry_attempts: int | None = None
    maximum_event_age_s: int | None = None
    destinations_given: bool = False
    on_success: str | None = None
    on_failure: str | None = None

    @property
    def empty(self) -> bool:
        return self.maximum_retry_attempts is None and self.maximum_event_age_s is None and not self.destinations_given


def put_config(tx: Transaction, on: FunctionReference, settings: Settings, now: float) -> EventInvokeConfig:
    """Replace the qualifier's configuration. Raises InvalidParameterValue and ResourceNotFound."""
    _check(tx, on, settings)
    config = EventInvokeConfig(
        qualifier=on.qualifier or LATEST,
        last_modified=now,
        maximum_retry_attempts=settings.maximum_retry_attempts,
        maximum_event_age_s=settings.maximum_event_age_s,
        on_success=settings.on_success or None,
        on_failure=settings.on_failure or None,
    )
    event_invoke_store.save_config(tx, on.scope, on.name, config)
    return config


def update_config(tx: Transaction, on: FunctionReference, settings: Settings, now: float) -> EventInvokeConfig:
    """Change what is given of the qualifier's configuration; DestinationConfig counts as one member.

    Raises InvalidParameterValue and ResourceNotFound, also when there is no configuration yet.
    """
    _check(tx, on, settings)
    known = get_config(tx, on)
    config = msgspec.structs.replace(
        known,
        last_modified=now,
        maximum_retry_attempts=_either(settings.maximum_retry_attempts, known.maximum_retry_attempts),
        maximum_event_age_s=_either(settings.maximum_event_age_s, known.maximum_event_age_s),
    )
    if settings.destinations_given:
        config = msgspec.structs.replace(
            config, on_success=settings.on_success or None, on_failure=settings.on_failure or None
        )
    event_invoke_store.save_config(tx, on.scope, on.name, config)
    return config


def get_config(tx: Transaction, on: FunctionReference) -> EventInvokeConfig:
    """The qualifier's configuration. Raises ResourceNotFound when it has none."""
    config = event_invoke_store.find_config(tx, on.scope, on.name, on.qualifier or LATEST)
    if config is None:
        raise _no_config(on)
    return config


def delete_config(tx: Transaction, on: FunctionReference) -> None:
    """Raises ResourceNotFound when there is none."""
    if not event_invoke_store.delete_config(tx, on.scope, on.name, on.qualifier or LATEST):
        raise _no_config(on)


def list_configs(tx: Transaction, on: FunctionReference, after: str, limit: int) -> list[EventInvokeConfig]:
    """At most `limit` configurations of the function after that qualifier. Raises ResourceNotFound."""
    if not store.function_exists(tx, on.scope, on.name):
        raise ResourceNotFound(NO_FUNCTION)
    return event_invoke_store.list_configs(tx, on.scope, on.name, after, limit)


def _either(new: int | None, old: int | None) -> int | None:
    return old if new is None else new


def _no_config(on: FunctionReference) -> ResourceNotFound:
    return ResourceNotFound(f"The function {on.arn}:{on.qualifier or LATEST} doesn't have an EventInvokeConfig")


def _check(tx: Transaction, on: FunctionReference, settings: Settings) -> None:
    if settings.empty:
        raise InvalidParameterValue("You must specify at least one of error handling or destination setting.")
    known = on.qualifier is None or on.qualifier == LATEST or not on.qualifier.startswith("$")
    if not known or store.revision_of(tx, on.scope, on.name, on.qualifier) is None:
        raise ResourceNotFound(NO_FUNCTION)
    success, failure = settings.on_success or None, settings.on_failure or None
    accepted = [_accepts(tx, on, success, of_failures=False), _accepts(tx, on, failure, of_failures=True)]
    if not all(accepted):
        on_success = f"OnSuccess(destination={success})" if success else "null"
        on_failure = f"OnFailure(destination={failure})" if failure else "null"
        raise InvalidParameterValue(
            f"The provided destination config DestinationConfig(onSuccess={on_success}, onFailure={on_failure}) "
            "is invalid."
        )


def _accepts(tx: Transaction, on: FunctionReference, destination: str | None, *, of_failures: bool) -> bool:
    """Whether Lambda sends records to such a resource: standard queues and topics, event buses, functions, buckets.

    Raises InvalidParameterValue for a function that does not exist, or that is `on` itself.
    """
    if destination is None:
        return True
    try:
        arn = Arn.parse(destination)
    except ValueError:  # kafka://, which only event source mappings know
        return False
    match arn.service:
        case "lambda":
            _check_function(tx, on, destination, arn)
            return True
        case "sqs" | "sns":
            return not arn.resource.endswith(".fifo")
        case "events":
            return arn.resource.startswith("event-bus/")
        case "s3":
            return of_failures and _S3_BUCKET.fullmatch(arn.resource) is not None
        case _:
            return False


def _check_function(tx: Transaction, on: FunctionReference, destination: str, arn: Arn) -> None:
    invalid = InvalidParameterValue(f"The destination ARN {destination} is invalid.")
    if not arn.resource.startswith("function:") or arn.region != on.scope.region:
        raise invalid
    target = parse_function(Scope(account=arn.account, region=arn.region), destination)
    if not store.function_exists(tx, target.scope, target.name):
        raise invalid
    if target.arn == on.arn:
        raise InvalidParameterValue("You can't specify the function as a destination for itself.")
