"""Lambda's operations: one module per resource, each with `operations(parts) -> list[Operation]`."""
