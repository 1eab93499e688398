"""One open connection of user data, and which keys have been subscribed on it.

Silence is usual: an account may have nothing to tell for days. That the connection lives is asked now and
then, and a question without an answer ends it.

Source: Binance spot API, WebSocket API, user data stream requests.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any, Protocol

import aiohttp
import msgspec
import structlog

from botwarden.errors import Unavailable
from botwarden.exchange.errors import NoBudget
from botwarden.exchange.payloads import Malformed
from botwarden.exchange.port import NewsMissed, OrderNews
from botwarden.exchange.socket_session import Broken, Socket, SocketSession
from botwarden.exchange.user_messages import Ended, Heard, Reply, user_message
from botwarden.exchange.weights import Priority, WeightBudget
from botwarden.runtime import Clock

log = structlog.get_logger(__name__)

#: How often the connection is asked whether it lives, and keys that were refused are tried again.
PROBE_EVERY_S = 30.0

#: What connecting costs, and each request on the connection.
WEIGHT = 2

#: How long a request waits for room in the budget: it gives way to everything else.
ROOM_WITHIN_S = 60.0

#: Timestamp outside of the window.
WRONG_TIME = -1021

#: The account is heard on this connection already: another key of it was subscribed before.
ALREADY_HEARD = -2035


class Subscriber(Protocol):
    """One key that wants to hear of its account."""

    def subscription(self) -> dict[str, Any]:
        """Return the signed parameters of a subscription, as of now. Raises `Unavailable`."""
        ...

    def hear(self, news: OrderNews | NewsMissed, /) -> None: ...


class Subscribers(Protocol):
    """Those for whom the session works."""

    def keys(self) -> set[Subscriber]: ...

    def ring(self) -> None: ...

    async def changed(self) -> None: ...


class UserSession(SocketSession):
    """A websocket and the keys that are subscribed on it."""

    def __init__(
        self,
        subscribers: Subscribers,
        http: aiohttp.ClientSession,
        url: str,
        *,
        clock: Clock,
        budget: WeightBudget,
        ask_time: Callable[[], Awaitable[Any]],
        silence_s: float,
        request_ids: Iterator[int],
    ) -> None:
        super().__init__(http, url, clock=clock)
        self._subscribers = subscribers
        self._budget = budget
        self._ask_time = ask_time
        self._silence_s = silence_s
        #: Shared by all sessions: an answer to an earlier one is never taken for an answer to this one.
        self._request_ids = request_ids
        #: Requests that wait for their answer: for whom, and since when.
        self._pending: dict[int | str, tuple[Subscriber | None, float]] = {}
        self._requested: set[Subscriber] = set()
        #: Until they are tried again.
        self._refused: set[Subscriber] = set()
        self._ever_refused: set[Subscriber] = set()
        self._listened: dict[int, Subscriber] = {}
        #: Whose account another key has subscribed. Which one is not told, so they hear all: whoever
        #: does not know an order leaves it alone.
        self._sharing: set[Subscriber] = set()
        #: Subscriptions that the venue has listed. One that it never lists is not missed when it does not.
        self._listed: set[int] = set()
        self._time_is_wrong = False
        self._probed_at = clock.monotonic()

    @property
    def was_live(self) -> bool:
        """Whether a subscription stands that the venue has confirmed."""
        return bool(self._listened)

    async def _subscribe(self, socket: Socket) -> None:
        while wanted := self._subscribers.keys():
            for needless in self._requested - wanted:
                await self._leave(socket, needless)
            missing = wanted - self._requested
            for subscriber in missing:
                await self._enter(socket, subscriber)
            if not missing:
                await self._subscribers.changed()

    async def _enter(self, socket: Socket, subscriber: Subscriber) -> None:
        self._requested.add(subscriber)
        with suppress(Unavailable):  # Its client was closed meanwhile: it will not be wanted any more.
            await self._request(
                socket, "userDataStream.subscribe.signature", subscriber.subscription, subscriber
            )

    async def _leave(self, socket: Socket, subscriber: Subscriber) -> None:
        self._requested.discard(subscriber)
        self._sharing.discard(subscriber)
        for number in [number for number, one in self._listened.items() if one is subscriber]:
            del self._listened[number]
            await self._request(
                socket, "userDataStream.unsubscribe", partial(dict[str, Any], subscriptionId=number)
            )

    async def _request(
        self,
        socket: Socket,
        method: str,
        parameters: Callable[[], dict[str, Any]],
        subscriber: Subscriber | None = None,
    ) -> None:
        """Send a request; `parameters` are made, and signed, when there is room for it."""
        try:
            reservation = await self._budget.reserve(Priority.CANDLES, WEIGHT, within_s=ROOM_WITHIN_S)
        except NoBudget as full:
            raise Broken(str(full)) from None
        try:
            sent = parameters()
            request_id = next(self._request_ids)
            self._pending[request_id] = subscriber, self._clock.monotonic()
            request = {"id": request_id, "method": method, "params": sent}
            await socket.send_str(msgspec.json.encode(request).decode())
        finally:
            self._budget.settle(reservation, None)

    def _handle(self, text: str) -> None:
        try:
            message = user_message(text)
        except Malformed as malformed:
            log.warning("user_stream.unreadable", why=str(malformed))
            return
        match message:
            case Reply():
                self._on_reply(message)
            case Heard(subscription_id=number, client_order_ids=ids):
                if (subscriber := self._listened.get(number)) is not None:
                    for hearer, client_order_id in product((subscriber, *self._sharing), ids):
                        hearer.hear(OrderNews(client_order_id=client_order_id))
            case Ended(subscription_id=None):
                raise Broken("the venue is about to close the stream")
            case Ended(subscription_id=int(number)):
                self._requested.discard(self._listened.pop(number, None))
                self._subscribers.ring()

    def _on_reply(self, reply: Reply) -> None:
        if reply.request_id is None and reply.code is not None:
            raise Broken(f"the venue ends the session: {reply.code}")  # A key was revoked.
        if reply.request_id is None or reply.request_id not in self._pending:
            return  # Not an answer to us: of an earlier connection, or nobody's.
        subscriber, _ = self._pending.pop(reply.request_id)
        if reply.standing is not None:
            if self._listed & self._listened.keys() - reply.standing:
                raise Broken("the venue has forgotten a subscription")
            self._listed |= reply.standing
        if subscriber is not None:
            self._on_subscribed(subscriber, reply)

    def _on_subscribed(self, subscriber: Subscriber, reply: Reply) -> None:
        if reply.code is not None:
            self._on_refused(subscriber, reply.code, reply.message)
        elif reply.subscription_id is not None:
            self._sharing.discard(subscriber)
            self._listened[reply.subscription_id] = subscriber
            subscriber.hear(NewsMissed())

    def _on_refused(self, subscriber: Subscriber, code: int, why: str) -> None:
        is_new = subscriber not in self._ever_refused
        self._ever_refused.add(subscriber)
        self._refused.add(subscriber)
        self._time_is_wrong |= code == WRONG_TIME
        if code == ALREADY_HEARD:
            if subscriber not in self._sharing:
                self._sharing.add(subscriber)
                subscriber.hear(NewsMissed())
            if is_new:
                log.info("user_stream.shared", why="another key of the same account is subscribed")
        elif is_new:
            log.warning("user_stream.refused", code=code, why=why[:100])

    async def _watch(self, socket: Socket) -> None:
        while True:
            await self._clock.sleep(self._silence_s)
            now = self._clock.monotonic()
            if any(now - since > self._silence_s for _, since in self._pending.values()):
                raise Broken(f"a request was not answered for {self._silence_s:g} s")
            if self._time_is_wrong:
                self._time_is_wrong = False
                with suppress(Unavailable):
                    await self._ask_time()
            if now - self._probed_at >= PROBE_EVERY_S:
                self._probed_at = now
                self._requested -= self._refused
                self._refused.clear()
                self._subscribers.ring()
                await self._request(socket, "session.subscriptions", dict)
