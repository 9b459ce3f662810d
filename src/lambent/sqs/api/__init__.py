"""SQS's operations: one module per subject, each with `operations(parts, ...) -> list[Operation]`."""

from __future__ import annotations

from lambent.core.operations import Operation
from lambent.sqs.api import moves, queues, receive, send, settings, visibility
from lambent.sqs.api.furniture import Parts
from lambent.sqs.messages import Messages
from lambent.sqs.mover import Mover


def operations(parts: Parts, messages: Messages, mover: Mover) -> list[Operation]:
    """Everything that SQS offers."""
    return [
        *queues.operations(parts),
        *settings.operations(parts),
        *send.operations(parts, messages),
        *receive.operations(parts, messages),
        *visibility.operations(parts, messages),
        *moves.operations(parts, mover),
    ]
