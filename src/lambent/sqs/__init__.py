"""Amazon SQS: queues, messages, permissions, dead letters. The messages themselves live in the room `queueing`."""
