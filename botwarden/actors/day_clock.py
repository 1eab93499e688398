"""The day turns once: at 00:00 UTC, and at start-up for a midnight that was slept through.

The database decides: it claims the day, and its own clock must agree that it has turned. This actor only
asks, again and again until the answer is yes; so a clock that steps, a paused process and many replicas
are all the same case. While our clock is ahead, however far, the day of the database is turned instead.
Nothing else is done here, so nothing else can keep the day from turning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import structlog

from botwarden.actors.announcer import Announce, WakeHolders
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Locked, Unavailable
from botwarden.persistence.bots import read_states
from botwarden.persistence.resets import ResetDone, ResetOutcome, TooEarly, reset_day
from botwarden.runtime import Actor, Ref
from botwarden.trading.bot import BotId
from botwarden.trading.days import next_turn

#: The wall clock may step: it is looked at this often at least.
LOOK_EVERY_S = 30.0

RETRY_AFTER_S = 0.25

#: So many states are read and told at a time: between them everything else in the process goes on.
PAGE = 500

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
        self._done = day
        if isinstance(result, ResetDone):
            log.info("day.turned", day=day.isoformat(), bots=len(result.bot_ids))
            await self._tell(result.bot_ids)
        return True

    async def _tell(self, bot_ids: Sequence[BotId]) -> None:
        """Wake whoever holds the bots, then tell their watchers what they have become.

        If the database goes away in between, the holders' sweeps tell it.
        """
        self._announcer.tell(WakeHolders(bot_ids=bot_ids))
        try:
            for start in range(0, len(bot_ids), PAGE):
                async with self._surroundings.database.read() as tx:
                    states = await read_states(tx, bot_ids[start : start + PAGE])
                self._announcer.tell(Announce(states=states))
        except Unavailable as away:
            log.warning("day.not_told", day=str(self._done), reason=str(away))

    async def _reset(self, day: date) -> ResetOutcome:
        reactivate_all = self._surroundings.rules.reset_reactivates_all
        async with self._surroundings.database.begin() as tx:
            return await reset_day(tx, day, reactivate_all=reactivate_all)
