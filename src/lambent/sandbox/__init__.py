"""The node side: starts execution environments and runs events in them. Needs nothing of ours but `core`."""
