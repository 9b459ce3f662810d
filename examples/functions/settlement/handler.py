"""Settles a batch of card transactions: totals by type and currency, and what a person should look at."""

import logging
from collections import defaultdict
from decimal import Decimal

log = logging.getLogger()
log.setLevel(logging.INFO)

REVIEW_ABOVE = Decimal("5000")


def handler(event, context):
    totals = defaultdict(Decimal)
    review = []
    for transaction in event["transactions"]:
        amount = Decimal(transaction["amount"])
        sign = -1 if transaction["type"] in ("REFUND", "CHARGEBACK") else 1
        totals[transaction["currency"]] += sign * amount
        if amount > REVIEW_ABOVE or transaction["type"] == "CHARGEBACK":
            review.append(transaction["id"])
    log.info("settled %d transactions, %d for review", len(event["transactions"]), len(review))
    return {
        "settled": len(event["transactions"]),
        "totals": {currency: str(total) for currency, total in sorted(totals.items())},
        "review": review,
        "request": context.aws_request_id,
    }
