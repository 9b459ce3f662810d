"""What the engine tells the status page: plain data that renders as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lambent.execution.admission import HostAdmission
from lambent.execution.concurrency import Concurrency
from lambent.execution.metrics import Metrics
from lambent.execution.pool import Pool, State
from lambent.execution.provisioned import Provisioner

# A throttle this recent is what limits the function "right now".
_RECENT_S: Final = 10.0


_STATES: Final = tuple(
    state.name.lower() for state in (State.STARTING, State.IDLE, State.BUSY, State.FINISHING, State.STOPPING)
)


def environments(pools: Sequence[Pool]) -> dict[str, dict[str, int]]:
    """How many environments are in each state, by function (unqualified ARN)."""
    counts: dict[str, dict[str, int]] = {}
    for pool in pools:
        own = counts.setdefault(pool.function.arn, dict.fromkeys(_STATES, 0))
        for state in _STATES:
            own[state] += pool.counts[State[state.upper()]]
        own["starting"] += pool.starting_ahead
    return counts


def describe(
    *,
    pools: Sequence[Pool],
    concurrency: Concurrency,
    metrics: Metrics,
    host: HostAdmission,
    now_s: float,
    strict_aws: bool,
    provisioners: Sequence[Provisioner] = (),
) -> Mapping[str, object]:
    """Limits of each account and region, this machine's room, and each function's environments and counters."""
    states = environments(pools)
    counters = dict(metrics.items())
    provisioned: dict[str, list[Mapping[str, object]]] = {}
    for provisioner in provisioners:
        function_version = provisioner.pool.function
        provisioned.setdefault(function_version.arn, []).append(_provisioned(provisioner, function_version.version))
    functions = []
    for arn in sorted({*states, *counters}):
        function: dict[str, object] = {
            "function_arn": arn,
            "environments": states.get(arn) or dict.fromkeys(_STATES, 0),
            "concurrency": concurrency.in_flight(arn),
            "concurrency_limit": concurrency.limit(arn),
            "reserved_concurrency": concurrency.reserved(arn),
        }
        if arn in provisioned:
            function["provisioned_concurrency"] = provisioned[arn]
        if arn in counters:
            last = counters[arn].last_throttle
            function.update(counters[arn].as_data())
            function["limited_by"] = last.detail if last is not None and now_s - last.at_s <= _RECENT_S else None
        functions.append(function)
    return {
        "profile": "strict-aws" if strict_aws else "default",
        "scopes": [
            {
                "account": use.scope.account,
                "region": use.scope.region,
                "concurrency": use.in_flight,
                "concurrency_limit": use.limit,
                "provisioned_concurrency": use.provisioned,
                "unreserved_concurrency": use.unreserved_in_flight,
                "unreserved_concurrency_limit": use.unreserved_limit,
            }
            for use in concurrency.scopes()
        ],
        "host": host.as_data(),
        "functions": functions,
    }


def _provisioned(provisioner: Provisioner, version: str) -> Mapping[str, object]:
    """One version's provisioned concurrency, with AWS's metric ProvisionedConcurrencyUtilization (0 to 1)."""
    status = provisioner.status
    return {
        "version": version,
        "requested": status.requested,
        "available": status.available,
        "in_use": status.in_use,
        "utilization": status.in_use / status.available if status.available else 0.0,
        "status": status.status,
        "status_reason": status.status_reason,
        "limited_by": status.limited_by,
    }
