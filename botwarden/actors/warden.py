"""The root of a replica's actors.

    warden ─┬─ slot keeper    beat, lock, slots, terms
            ├─ announcer      tells the word of committed changes
            ├─ committer      the only writer of bots' decisions
            ├─ reader         reads bots' rows, for many at a time
            ├─ progress       when each bot was last evaluated
            ├─ desks ── desk of a key ── order
            ├─ feeds ── feed of a symbol
            ├─ bots ── bot
            ├─ reconciler ── late look of an account
            ├─ day clock      turns the day
            ├─ upkeep         keeps the database tidy
            └─ reporter       tells how this replica stands

Children stop in reverse order: first the bots; the desks after them, so that an order under way is answered
or left open for the next owner; the slots' keeper last. It beats until nobody works here any more, and only
then gives the slots back.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botwarden.actors.announcer import AnnouncerActor
from botwarden.actors.bots import BotsActor, BotsMessage, Wake
from botwarden.actors.colleagues import Colleagues
from botwarden.actors.committer import CommitterActor
from botwarden.actors.day_clock import DayClockActor
from botwarden.actors.desk_mail import Enrolled
from botwarden.actors.feed_mail import FeedBoard, Watches
from botwarden.actors.inboxes import WIDE
from botwarden.actors.market_feed import FeedsActor
from botwarden.actors.order_desk import DesksActor
from botwarden.actors.progress import ProgressActor
from botwarden.actors.reconciler import ReconcilerActor
from botwarden.actors.reporter import ReporterActor
from botwarden.actors.row_reader import RowReaderActor
from botwarden.actors.slot_keeper import SlotKeeperActor
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Surroundings
from botwarden.actors.upkeep import UpkeepActor
from botwarden.runtime import Actor, ActorView, ChildSpec, Intensity, Ref, Restart
from botwarden.trading.bot import BotId

DRAIN_WITHIN_S = 15.0

#: Of children that trading can do without: however often they crash, nobody else notices.
UNLIMITED = Intensity(restarts=sys.maxsize)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsWritten:
    """Word from Redis: somebody wrote the rows of these bots."""

    bot_ids: Sequence[BotId]


class WardenActor(Actor[RowsWritten]):
    """Starts everybody and passes on word from outside."""

    def __init__(self, surroundings: Surroundings, tree: Callable[[], ActorView]) -> None:
        self._surroundings = surroundings
        self._tree = tree
        self._bots: Ref[BotsMessage] | None = None

    async def started(self) -> None:
        """Start the children in the order of their need."""
        surroundings, standing, board = self._surroundings, Standing(), FeedBoard()
        watches, enrolled = Watches(), Enrolled()
        announcer = await self._child("announcer", lambda: AnnouncerActor(surroundings), UNLIMITED)
        colleagues = Colleagues(
            announcer=announcer,
            committer=await self._child("committer", lambda: CommitterActor(surroundings, announcer)),
            reader=await self._child("reader", lambda: RowReaderActor(surroundings.database)),
            progress=await self._child("progress", lambda: ProgressActor(surroundings), UNLIMITED),
            desks=await self._child("desks", lambda: DesksActor(surroundings, enrolled)),
            feeds=await self._child("feeds", lambda: FeedsActor(surroundings, board, watches)),
        )
        # It stops right after the bots: whoever takes their slots need not wait for orders on their way.
        await self._child("slot-keeper", lambda: SlotKeeperActor(surroundings, lambda: self._bots, standing))
        bots = self._bots = await self._child("bots", lambda: BotsActor(surroundings, colleagues, standing))
        await self._child(
            "reconciler",
            lambda: ReconcilerActor(surroundings, colleagues.committer, bots, standing),
            UNLIMITED,
        )
        await self._child("day-clock", lambda: DayClockActor(surroundings, announcer), UNLIMITED)
        await self._child("upkeep", lambda: UpkeepActor(surroundings), UNLIMITED)
        await self._child(
            "reporter", lambda: ReporterActor(surroundings, standing, board, self._tree), UNLIMITED
        )

    async def receive(self, message: RowsWritten, /) -> None:
        """Wake the bots whose rows were written."""
        if self._bots is not None:
            self._bots.tell(Wake(bot_ids=message.bot_ids))

    async def _child(self, name: str, start: Any, intensity: Intensity | None = None) -> Ref[Any]:
        return await self.context.spawn(
            ChildSpec(
                name=name,
                start=start,
                restart=Restart.PERMANENT,
                intensity=intensity or Intensity(),
                inbox=WIDE,
                stop_within_s=DRAIN_WITHIN_S,
            )
        )
