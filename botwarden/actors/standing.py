"""This replica's place among the others.

Written by the slot keeper alone; everybody else reads it. It outlives the actors that read it, and the
keeper as well, so that one that was restarted knows what it holds.
"""

from dataclasses import dataclass

from botwarden.persistence.slots import ReplicaLock


@dataclass(slots=True, kw_only=True)
class Standing:
    """Who we are at present, and which slots we hold."""

    #: Nothing while this replica has not joined, or has stepped down.
    replica_id: int | None = None
    #: What the bots were last told to hold.
    slots: frozenset[int] = frozenset()
    #: Held as long as we are that replica.
    lock: ReplicaLock | None = None
    #: When the others last heard of us, by the monotonic clock.
    beaten_at_s: float = 0.0
