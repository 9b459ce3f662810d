"""Whether a caller may do something to a queue (SQS developer guide, "Overview of managing access")."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

from lambent.core.clock import Clock
from lambent.sqs import policies
from lambent.sqs.errors import AccessDenied
from lambent.sqs.model import Caller, Queue
from lambent.sqs.names import arn_of


def check(queue: Queue, caller: Caller, action: str, clock: Clock) -> None:
    """Raise AccessDenied unless the caller may carry out `action` (without `sqs:`; a batch counts as its action)."""
    policy = queue.settings.policy
    own = caller.account == queue.key.account
    if policy is None and own:
        return
    arn = arn_of(queue.key)
    decision: policies.Decision = "none"
    if policy is not None and (own or action in policies.GRANTABLE):
        attempt = policies.Attempt(
            account=caller.account,
            arn=caller.arn,
            action=action,
            resource=arn,
            keys={
                "aws:principalaccount": [caller.account],
                "aws:principalarn": [caller.arn],
                "aws:userid": [caller.user_id],
                "aws:principalisawsservice": ["false"],
                "aws:requestedregion": [queue.key.region],
                **_surroundings(clock),
            },
        )
        decision = policies.decide(_parsed(policy), attempt)
    if decision == "deny" or (decision == "none" and not own):
        raise AccessDenied(action, arn)


def service_may_send(queue: Queue, service: str, source_arn: str, clock: Clock) -> bool:
    """Whether a service such as `sns.amazonaws.com` may send on behalf of `source_arn`, a resource of its own."""
    policy = queue.settings.policy
    if policy is None:
        return False
    attempt = policies.Attempt(
        account="",
        arn="",
        action="SendMessage",
        resource=arn_of(queue.key),
        service=service,
        keys={
            "aws:sourcearn": [source_arn],
            "aws:sourceaccount": [source_arn.split(":")[4]],
            "aws:principalisawsservice": ["true"],
            "aws:principalservicename": [service],
            **_surroundings(clock),
        },
    )
    return policies.decide(_parsed(policy), attempt) == "allow"


def _surroundings(clock: Clock) -> dict[str, list[str]]:
    now_s = clock.now()
    return {
        # Loopback, or whatever ends TLS in front of this server: no request comes in the clear over a network.
        "aws:securetransport": ["true"],
        "aws:epochtime": [str(int(now_s))],
        "aws:currenttime": [datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")],
    }


@functools.lru_cache(maxsize=256)
def _parsed(policy: str) -> policies.Document:
    return policies.parse(policy)
