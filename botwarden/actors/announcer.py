"""Tells the word of committed changes, so that nobody who decides ever waits for Redis.

Word is never a promise: when Redis is away or this falls behind, messages are dropped, and watchers
and peers catch up from the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from botwarden.actors.surroundings import Surroundings
from botwarden.persistence.broadcast import StateChanged
from botwarden.runtime import Actor
from botwarden.trading.bot import BotId, BotState


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """These states have been committed."""

    states: Sequence[BotState]


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeHolders:
    """Whoever holds these bots shall read them again."""

    bot_ids: Sequence[BotId]


class AnnouncerActor(Actor[Announce | WakeHolders]):
    """Publishes one message per batch and channel, in the order of the commits."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._broadcast = surroundings.broadcast

    async def receive(self, message: Announce | WakeHolders, /) -> None:
        """Publish; a failure is counted by the broadcast and otherwise nobody's concern."""
        match message:
            case Announce(states=states):
                await self._broadcast.publish_states([StateChanged.of(state) for state in states])
            case WakeHolders(bot_ids=bot_ids):
                await self._broadcast.publish_wake(list(bot_ids))
