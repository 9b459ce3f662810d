"""Received messages for tests."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.sqs.messages import Delivery


def delivery(number: int = 1, **fields: Any) -> Delivery:
    """What a queue delivers; the id is `m<number>`."""
    plain = Delivery(
        message_id=f"m{number}",
        receipt_handle=f"handle-{number}",
        body="hello",
        body_md5="5d41402abc4b2a76b9719d911017c592",
        attributes=(),
        sender_id="AIDAEXAMPLE",
        sent_ms=1_700_000_000_000,
        receive_count=1,
        first_received_ms=1_700_000_000_001,
    )
    return msgspec.structs.replace(plain, **fields)
