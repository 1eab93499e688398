"""This replica's place among the others.

Written by the slot keeper alone; everybody else reads it. It outlives the actors that read it, so that one
that was restarted knows what it holds.
"""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Standing:
    """Who we are at present, and which slots we hold."""

    #: Nothing while this replica has not joined, or has stepped down.
    replica_id: int | None = None
    slots: frozenset[int] = frozenset()
