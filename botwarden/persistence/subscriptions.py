"""The one reader of a replica: hears every channel that somebody here asked for.

What is wanted is kept apart from what Redis has confirmed, so a lost connection loses no wish: the next
one asks for all of it again, and then the callbacks of `on_gap` are told.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from botwarden.persistence.redis_connection import open_redis

log = structlog.get_logger()

Callback = Callable[[bytes], object]

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
#: A silent connection is asked for a sign of life after this, and given up after twice as long.
_SILENT_AFTER_S = 5.0
_CONNECT_WITHIN_S = 2.0


class _SilentError(RedisError):
    """Redis does not answer a ping."""


class Subscriptions:
    """Channels and their callbacks, one callback each."""

    def __init__(self, redis_url: str) -> None:
        self._redis = open_redis(redis_url, within_s=_CONNECT_WITHIN_S, retries=0)
        self._wanted: dict[str, Callback] = {}
        #: What the present connection was asked for, and how many answers to that are still to come.
        self._asked: set[str] = set()
        self._unanswered: Counter[str] = Counter()
        self._connected = False
        self._gap_callbacks: list[Callable[[], object]] = []
        self._wished = anyio.Event()
        self._answered = anyio.Event()
        self._jitter = random.Random()  # noqa: S311 - spreads reconnects, guards nothing

    @property
    def connected(self) -> bool:
        """Whether everything that was wanted when the connection was made is heard."""
        return self._connected

    def add(self, channel: str, callback: Callback) -> None:
        """Hear a channel from now on; another callback takes the place of the former."""
        self._wanted[channel] = callback
        self._wished.set()

    def remove(self, channel: str) -> None:
        """Hear a channel no more."""
        self._wanted.pop(channel, None)
        self._wished.set()
        # Who waits for its confirmation waits in vain.
        self._look_again()

    def on_gap(self, callback: Callable[[], object]) -> None:
        """Call back whenever a connection was made, the first time too."""
        self._gap_callbacks.append(callback)

    async def confirmed(self, channels: Sequence[str]) -> None:
        """Return when Redis has confirmed all of the channels, but those that nobody wants any more."""
        while not all(self._is_confirmed(it) or it not in self._wanted for it in channels):
            await self._answered.wait()

    async def run(self) -> None:
        """Read for ever, reconnecting with growing pauses."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._connection()
            except* (RedisError, OSError) as failures:
                log.warning("redis.disconnected", error=_why(failures))
            pause_s = _FIRST_PAUSE_S if self._connected else min(pause_s * 2, _LONGEST_PAUSE_S)
            self._connected = False
            await anyio.sleep(pause_s * self._jitter.uniform(0.5, 1.0))

    async def close(self) -> None:
        """Close the connection; `run` must have ended."""
        await self._redis.aclose()

    async def _connection(self) -> None:
        """Live as long as one connection does."""
        self._asked, self._unanswered = set(), Counter()
        async with self._redis.pubsub() as line, anyio.create_task_group() as tasks:
            # Reading needs at least one subscription.
            await line.subscribe("botwarden:line")
            tasks.start_soon(self._read, line)
            tasks.start_soon(self._ask, line)
            await self.confirmed(list(self._wanted))
            self._connected = True
            for callback in self._gap_callbacks:
                callback()

    async def _ask(self, line: PubSub) -> None:
        """Ask for what is wanted and not yet asked for, and the other way round."""
        while True:
            self._wished = anyio.Event()
            wanted = set(self._wanted)
            if missing := wanted - self._asked:
                self._asked |= missing
                self._unanswered.update(missing)
                await line.subscribe(*missing)
            if surplus := self._asked - wanted:
                self._asked -= surplus
                await line.unsubscribe(*surplus)
            await self._wished.wait()

    async def _read(self, line: PubSub) -> None:
        silent = False
        while True:
            message = await line.get_message(timeout=_SILENT_AFTER_S)
            if message is not None:
                silent = False
                self._heard(message)
            elif silent:
                raise _SilentError
            else:
                silent = True
                await line.ping()

    def _heard(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode() if message["channel"] else ""
        if message["type"] == "message" and channel in self._wanted:
            self._wanted[channel](message["data"])
        elif message["type"] == "subscribe" and channel in self._unanswered:
            self._unanswered[channel] -= 1
            self._look_again()

    def _look_again(self) -> None:
        self._answered.set()
        self._answered = anyio.Event()

    def _is_confirmed(self, channel: str) -> bool:
        return channel in self._asked and self._unanswered[channel] <= 0


def _why(failure: BaseException) -> str:
    """Return what the first failure says: where Redis was looked for, and what came of it."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return str(failure) or failure.__doc__ or type(failure).__name__
