"""Who owns what: the seam for several processes.

Each queue, function, mapping and outbox shard has one owner process, which holds its pools, counters and
waiters. Ownership is a lease with an epoch; every write that an owner makes checks the epoch in the same
transaction, so a process that lost its lease can no longer change what it used to own. With one process,
one lease covers everything.
"""

from __future__ import annotations

from dataclasses import dataclass


class LeaseLost(Exception):
    """Another process has taken over; this one must stop writing at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write, as of `epoch`; a later epoch ends it."""

    holder: str
    epoch: int
