"""The durable queue engine: messages, their visibility, order and dead letters. SQS and the outbox stand on it."""
