"""News of the orders of many accounts: our own supervised connections for user data, shared by all keys.

    desk ── listen ──▶ ┌── userDataStream.subscribe.signature, one for each key ──▶ venue
    desk ◀── news ──── └── ◀── an event about an order ────────────────────────────

News is a reason to ask, never an answer: what has become of an order is read by REST, by the one who waits
for it. So news may get lost, come twice, late or not at all, and nothing but the time of settling depends
on it. After each subscription everybody hears that something may have been missed.

The library's own user stream falls silent for good after its first reconnect, so it is not used.
"""

import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import structlog

from botwarden.exchange.bell import Bell
from botwarden.exchange.connection_pool import ConnectionPool
from botwarden.exchange.port import HearNews, NewsMissed, OrderNews
from botwarden.exchange.socket_session import Broken
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.user_session import Subscriber, UserSession
from botwarden.exchange.weights import WeightBudget
from botwarden.exchange.wire import Wire
from botwarden.runtime import Clock

log = structlog.get_logger(__name__)

#: Subscriptions that one connection may have at a time.
#: Source: Binance spot API, WebSocket API, user data stream subscriptions.
KEYS_PER_CONNECTION = 1000


class KeyListener:
    """One key, and who wants to hear of its account."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._hears: list[HearNews] = []

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._hears)

    def add(self, hear: HearNews) -> None:
        """Let somebody listen."""
        self._hears.append(hear)

    def remove(self, hear: HearNews) -> None:
        """Let somebody listen no more."""
        self._hears.remove(hear)

    def subscription(self) -> dict[str, Any]:
        """Return the signed parameters of a subscription."""
        return self._wire.open().subscription_parameters()

    def hear(self, news: OrderNews | NewsMissed, /) -> None:
        """Pass news on."""
        for hear in [*self._hears]:
            hear(news)


class UserConnection:
    """One websocket after another, and the keys on it."""

    def __init__(self, streams: "UserStreams") -> None:
        self._streams = streams
        self._keys: set[Subscriber] = set()
        self._bell = Bell()

    def keys(self) -> set[Subscriber]:
        """Return who wants to hear now."""
        return set(self._keys)

    def ring(self) -> None:
        """Have the keys looked at again."""
        self._bell.ring()

    async def changed(self) -> None:
        """Return when keys have come or gone since the last call."""
        await self._bell.wait()

    @property
    def has_room(self) -> bool:
        """Whether one more key fits."""
        return len(self._keys) < KEYS_PER_CONNECTION

    def add(self, key: Subscriber) -> None:
        """Let a key hear of its account."""
        self._keys.add(key)
        self.ring()

    def remove(self, key: Subscriber) -> None:
        """Forget a key."""
        if key in self._keys:
            self._keys.discard(key)
            self.ring()

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Keep a websocket open while there are keys, for ever."""
        failures = 0
        while True:
            while not self._keys:
                await self.changed()
            session = self._streams.session(self, http)
            try:
                await session.run()
            except Broken as broken:
                failures = 1 if session.was_live else failures + 1
                if failures == 1:
                    log.warning("user_stream.lost", why=str(broken), keys=len(self._keys))
                await self._streams.pause(failures, broken)
            else:
                failures = 0


class UserStreams:
    """The user data of one venue's accounts."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        rng: random.Random,
        connector: Callable[[], aiohttp.BaseConnector],
        budget: WeightBudget,
        ask_time: Callable[[], Awaitable[Any]],
        rules: StreamRules | None = None,
    ) -> None:
        self._url = url
        self._clock = clock
        self._rng = rng
        self._budget = budget
        self._ask_time = ask_time
        self._rules = rules or StreamRules()
        self._request_ids = itertools.count(1)
        self._pool: ConnectionPool[UserConnection] = ConnectionPool(connector)

    def listen(self, key: KeyListener, hear: HearNews) -> Callable[[], None]:
        """Let somebody hear of a key's account; returns what ends it.

        Nothing comes unless `run` runs, or from a venue that has no user data.
        """
        is_new = bool(self._url) and not key.is_wanted
        key.add(hear)
        if is_new:
            self._connection().add(key)

        def stop() -> None:
            key.remove(hear)
            if not key.is_wanted:
                for connection in self._pool:
                    connection.remove(key)

        return stop

    async def run(self) -> None:
        """Serve all keys for ever; run by the owner as a duty."""
        await self._pool.run()

    def session(self, connection: UserConnection, http: aiohttp.ClientSession) -> UserSession:
        """Return the next session of a connection."""
        return UserSession(
            connection,
            http,
            self._url + "?returnRateLimits=false",
            clock=self._clock,
            budget=self._budget,
            ask_time=self._ask_time,
            silence_s=self._rules.silence_s,
            request_ids=self._request_ids,
        )

    async def pause(self, failures: int, broken: Broken) -> None:
        """Wait as long as so many failures in a row ask for."""
        await self._clock.sleep(max(broken.pause_s, self._rules.backoff_s(failures, self._rng)))

    def _connection(self) -> UserConnection:
        for connection in self._pool:
            if connection.has_room:
                return connection
        return self._pool.add(UserConnection(self))
