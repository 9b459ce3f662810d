"""Environments behind walls: namespaces, a root of their own, the kernel's limits, no privileges, filtered calls."""
