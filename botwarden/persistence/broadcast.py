"""Word of committed changes, carried by Redis to every replica.

    publish_*  ──▶ Redis ──▶ run() (the replica's one reader) ──▶ callbacks

Word is never a promise: whoever needs the truth reads the database. So publishing never raises and never
waits long, and after any gap in the reader's connection the callbacks of `on_gap` are told, because what
was said meanwhile is lost.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Self, TypeVar

import anyio
import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from botwarden.persistence.redis_connection import open_redis
from botwarden.persistence.subscriptions import Callback, Subscriptions
from botwarden.trading.bot import BotId, BotState, UserId

log = structlog.get_logger()

#: Whoever publishes waits so long at most, unless told otherwise.
PUBLISH_WITHIN_S = 0.5

T = TypeVar("T")


class StateChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What those who watch are told of a committed state."""

    user_id: UserId
    bot_id: BotId
    version: int
    status: str
    in_position: bool
    entry_price: Decimal | None
    daily_pnl: Decimal
    daily_trades_count: int
    #: Set by the database with the version (aware, UTC).
    last_updated_at: datetime

    @classmethod
    def of(cls, state: BotState) -> Self:
        """Return the word of this state."""
        return cls(
            user_id=state.user_id,
            bot_id=state.bot_id,
            version=state.version,
            status=state.status,
            in_position=state.in_position,
            entry_price=state.entry_price,
            daily_pnl=state.daily_pnl,
            daily_trades_count=state.daily_trades_count,
            last_updated_at=state.last_updated_at,
        )


_encode = msgspec.json.Encoder().encode


class Broadcast:
    """Publishes word and hears it. `run` must be kept running by its owner for anything to be heard."""

    def __init__(
        self, redis_url: str, *, prefix: str = "botwarden", publish_within_s: float = PUBLISH_WITHIN_S
    ) -> None:
        self._redis = open_redis(redis_url, within_s=publish_within_s)
        self._publish_within_s = publish_within_s
        self._prefix = prefix
        self._subscriptions = Subscriptions(redis_url)
        self._revoked_callbacks: list[Callable[[list[bytes]], object]] = []
        #: Messages sent, and messages that Redis did not take.
        self.published = 0
        self.lost = 0

    @property
    def redis(self) -> Redis:
        """The connection pool that publishes."""
        return self._redis

    @property
    def connected(self) -> bool:
        """Whether what is said now is heard here."""
        return self._subscriptions.connected

    async def run(self) -> None:
        """Read for ever, reconnecting with growing pauses."""
        await self._subscriptions.run()

    async def close(self) -> None:
        """Close the connections; `run` must have ended."""
        await self._subscriptions.close()
        await self._redis.aclose()

    # Saying.

    async def publish_states(self, changed: Sequence[StateChanged]) -> bool:
        """Tell each owner's watchers, in one message per owner; return whether Redis has taken it."""
        by_owner: dict[UserId, list[StateChanged]] = defaultdict(list)
        for state in changed:
            by_owner[state.user_id].append(state)
        return await self._publish([(f"status:{user_id}", states) for user_id, states in by_owner.items()])

    async def publish_wake(self, bot_ids: Sequence[BotId]) -> None:
        """Tell whoever holds these bots that somebody else wrote their rows."""
        if bot_ids:
            await self._publish([("wake", list(bot_ids))])

    async def publish_revoked(self, token_hashes: Sequence[bytes]) -> None:
        """Tell everyone that these tokens are dead."""
        if token_hashes:
            await self._publish([("revoked", list(token_hashes))])

    async def publish_deleted(self, user_id: UserId, bot_id: BotId) -> None:
        """Tell the owner's watchers, and the holder, that the bot is no more."""
        await self._publish([(f"deleted:{user_id}", bot_id), ("wake", [bot_id])])

    # Hearing.

    async def on_wake(self, callback: Callable[[list[BotId]], object]) -> None:
        """Call back with the bots whose rows were written, from now on."""
        self._subscriptions.add(self._channel("wake"), _typed(callback, list[BotId]))

    async def on_revoked(self, callback: Callable[[list[bytes]], object]) -> None:
        """Call back with the hashes of tokens that are dead, from now on; others who asked still hear it."""
        self._revoked_callbacks.append(callback)
        self._subscriptions.add(self._channel("revoked"), _typed(self._revoked, list[bytes]))

    def on_gap(self, callback: Callable[[], object]) -> None:
        """Call back whenever the reader is connected again: what was said meanwhile is lost."""
        self._subscriptions.on_gap(callback)

    async def subscribe_user(
        self,
        user_id: UserId,
        on_states: Callable[[list[StateChanged]], object],
        on_deleted: Callable[[BotId], object],
    ) -> None:
        """Call back with what happens to the user's bots; return when Redis has confirmed it.

        While Redis is away this waits; a caller with less patience sets a deadline, and the subscription
        stands all the same.
        """
        channels = [self._channel(f"status:{user_id}"), self._channel(f"deleted:{user_id}")]
        self._subscriptions.add(channels[0], _typed(on_states, list[StateChanged]))
        self._subscriptions.add(channels[1], _typed(on_deleted, BotId))
        await self._subscriptions.confirmed(channels)

    async def unsubscribe_user(self, user_id: UserId) -> None:
        """Hear of the user's bots no more."""
        self._subscriptions.remove(self._channel(f"status:{user_id}"))
        self._subscriptions.remove(self._channel(f"deleted:{user_id}"))

    async def subscribe(self, channel: str, callback: Callback) -> None:
        """Call back with the bytes said on a channel (without prefix); return when it is confirmed."""
        self._subscriptions.add(self._channel(channel), callback)
        await self._subscriptions.confirmed([self._channel(channel)])

    async def unsubscribe(self, channel: str) -> None:
        """Hear the channel no more."""
        self._subscriptions.remove(self._channel(channel))

    async def _publish(self, messages: Sequence[tuple[str, Any]]) -> bool:
        if not messages:
            return True
        try:
            with anyio.fail_after(self._publish_within_s):
                await self._send(messages)
        except (RedisError, OSError) as error:
            if self.lost == 0 or self.lost % 1000 == 0:
                log.warning("word.lost", lost=self.lost, error=type(error).__name__)
            self.lost += len(messages)
            return False
        self.published += len(messages)
        return True

    async def _send(self, messages: Sequence[tuple[str, Any]]) -> None:
        if len(messages) == 1:
            channel, message = messages[0]
            await self._redis.publish(self._channel(channel), _encode(message))
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for channel, message in messages:
                pipe.publish(self._channel(channel), _encode(message))
            await pipe.execute()

    def _revoked(self, token_hashes: list[bytes]) -> None:
        for callback in self._revoked_callbacks:
            callback(token_hashes)

    def _channel(self, name: str) -> str:
        return f"{self._prefix}:{name}"


def _typed(callback: Callable[[T], object], type_: Any) -> Callback:
    decode = msgspec.json.Decoder(type_).decode

    def decoded(message: bytes) -> None:
        try:
            word = decode(message)
        except msgspec.DecodeError as error:
            # Said by another release; the sweep makes up for it.
            log.warning("word.not_understood", error=str(error))
        else:
            callback(word)

    return decoded
