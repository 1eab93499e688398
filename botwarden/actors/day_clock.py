"""The day turns once: at 00:00 UTC, and at start-up for a midnight that was slept through.

The database decides: it claims the day, and its own clock must agree that it has turned. This actor only
asks, again and again until the answer is yes; so a clock that steps, a paused process and many replicas
are all the same case. While our clock is ahead, however far, the day of the database is turned instead.
Nothing else is done here, so nothing else can keep the day from turning.
"""

from dataclasses import dataclass
from datetime import date

import structlog

from botwarden.actors.announcer import Announce, WakeHolders
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Locked, Unavailable
from botwarden.persistence.resets import ResetDone, ResetOutcome, TooEarly, reset_day
from botwarden.runtime import Actor, Ref
from botwarden.trading.days import next_turn

#: The wall clock may step: it is looked at this often at least.
LOOK_EVERY_S = 30.0

RETRY_AFTER_S = 0.25

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """See whether the day has turned."""


class DayClockActor(Actor[Look]):
    """Turns the day for all bots of the database, if nobody else has."""

    def __init__(self, surroundings: Surroundings, announcer: Ref[Announce | WakeHolders]) -> None:
        self._surroundings = surroundings
        self._announcer = announcer
        self._done: date | None = None

    async def started(self) -> None:
        """Make up at once for a midnight that was missed."""
        self.context.ref.tell(Look())

    async def receive(self, message: Look, /) -> None:
        """Turn the day if it has not been turned, then wait for the next."""
        now = self.context.clock.now()
        after_s = RETRY_AFTER_S
        if self._done == now.date() or await self._turn(now.date()):
            after_s = min((next_turn(now) - now).total_seconds(), LOOK_EVERY_S)
        self.context.start_timer("look", message, after_s=after_s)

    async def _turn(self, day: date) -> bool:
        """Return whether `day` has been turned, by us or by another replica."""
        try:
            result = await self._reset(day)
        except (Unavailable, Locked):
            return False
        if isinstance(result, TooEarly):
            if self._done != result.today:
                await self._turn(result.today)
            return False
        if isinstance(result, ResetDone):
            log.info("day.turned", day=day.isoformat(), bots=len(result.states))
            self._announcer.tell(Announce(states=result.states))
            self._announcer.tell(WakeHolders(bot_ids=[state.bot_id for state in result.states]))
        self._done = day
        return True

    async def _reset(self, day: date) -> ResetOutcome:
        reactivate_all = self._surroundings.rules.reset_reactivates_all
        async with self._surroundings.database.begin() as tx:
            return await reset_day(tx, day, reactivate_all=reactivate_all)
