"""Tells the word of committed changes, so that nobody who decides ever waits for Redis.

Word is never a promise, but what Redis did not take is told again, the newest state of each bot: nobody who
watches is left with an older one because Redis had a bad moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from botwarden.actors.surroundings import Surroundings
from botwarden.persistence.broadcast import StateChanged
from botwarden.runtime import Actor
from botwarden.trading.bot import BotId, BotState

#: Redis is tried again so long after it took nothing.
AGAIN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """These states have been committed."""

    states: Sequence[BotState]


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeHolders:
    """Whoever holds these bots shall read them again."""

    bot_ids: Sequence[BotId]


@dataclass(frozen=True, slots=True)
class _TellAgain:
    """Tell what was not taken."""


class AnnouncerActor(Actor[Announce | WakeHolders | _TellAgain]):
    """Publishes one message per batch and channel, in the order of the commits."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._broadcast = surroundings.broadcast
        #: The newest state of each bot of which Redis took no word; no more than there are bots.
        self._untold: dict[BotId, BotState] = {}

    async def receive(self, message: Announce | WakeHolders | _TellAgain, /) -> None:
        """Publish; what was not taken waits for better times."""
        match message:
            case Announce(states=states) if self._untold:
                self._keep(states)  # Redis is away: it is not asked once per commit.
            case Announce(states=states):
                await self._tell(states)
            case WakeHolders(bot_ids=bot_ids):
                await self._broadcast.publish_wake(list(bot_ids))
            case _TellAgain():
                untold, self._untold = list(self._untold.values()), {}
                await self._tell(untold)

    async def _tell(self, states: Sequence[BotState]) -> None:
        if not await self._broadcast.publish_states([StateChanged.of(state) for state in states]):
            self._keep(states)
            self.context.start_timer("again", _TellAgain(), after_s=AGAIN_AFTER_S)

    def _keep(self, states: Sequence[BotState]) -> None:
        for state in states:
            known = self._untold.get(state.bot_id)
            if known is None or known.version < state.version:
                self._untold[state.bot_id] = state
