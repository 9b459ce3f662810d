"""Event source mappings: what brings the messages of queues to functions."""
