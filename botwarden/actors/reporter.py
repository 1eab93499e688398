"""Tells, once a second, how this replica stands: its slots, its bots, its tree of actors.

Only for people and health checks: nothing that decides ever reads it, so nothing waits for it either.
"""

from collections.abc import Callable
from dataclasses import dataclass

from botwarden.actors.feed_mail import FeedBoard
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Unavailable
from botwarden.persistence.replica_view import ActorNode, ReplicaView, VenueView
from botwarden.persistence.replica_view import write as write_view
from botwarden.runtime import Actor, ActorView
from botwarden.trading.bot import Venue

REPORT_EVERY_S = 1.0

#: Of so many children only a count is told.
MOST_CHILDREN = 200


@dataclass(frozen=True, slots=True)
class Report:
    """Tell how we stand."""


class ReporterActor(Actor[Report]):
    """Writes one view of this replica to Redis."""

    def __init__(
        self, surroundings: Surroundings, standing: Standing, board: FeedBoard, tree: Callable[[], ActorView]
    ) -> None:
        self._surroundings = surroundings
        self._standing = standing
        self._board = board
        self._tree = tree
        self._started_at = surroundings.clock.now()

    async def started(self) -> None:
        """Report once a second from now on."""
        self.context.start_interval("report", Report(), every_s=REPORT_EVERY_S)

    async def receive(self, message: Report, /) -> None:
        """Report, if we are a replica at present."""
        del message
        replica_id = self._standing.replica_id
        if replica_id is None:
            return
        try:
            await write_view(self._surroundings.cache.redis, self._view(replica_id))
        except Unavailable:
            return  # Redis is away: the view lapses, which is the truth as well.

    def _view(self, replica_id: int) -> ReplicaView:
        tree = self._tree()
        return ReplicaView(
            replica_id=replica_id,
            name=self._surroundings.replica_name,
            started_at=self._started_at,
            beat_at=self.context.clock.now(),
            slots=len(self._standing.slots),
            bots=_count(tree, "bot:"),
            feeds=tuple(self._board.values()),
            venues=tuple(self._venue_view(venue) for venue in sorted({key.venue for key in self._board})),
            actors=_node(tree),
        )

    def _venue_view(self, venue: Venue) -> VenueView:
        offset = self._surroundings.venue_now(venue) - self.context.clock.now()
        away = any(view.state != "live" for key, view in self._board.items() if key.venue is venue)
        return VenueView(
            venue=venue,
            state="away" if away else "ok",
            clock_offset_ms=round(offset.total_seconds() * 1000, 1),
        )


def _node(view: ActorView) -> ActorNode:
    return ActorNode(
        name=view.name,
        alive=view.alive,
        depth=view.depth,
        restarts=view.restarts,
        last_failure=view.last_failure,
        children=tuple(_node(child) for child in view.children[:MOST_CHILDREN]),
    )


def _count(view: ActorView, prefix: str) -> int:
    return view.name.startswith(prefix) + sum(_count(child, prefix) for child in view.children)
