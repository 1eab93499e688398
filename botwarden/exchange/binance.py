"""Every venue that speaks Binance's spot protocol, behind one door.

Whoever owns it runs `run` for its lifetime (as a duty of an actor) and calls `close` at the end.
Nothing is sent to a venue before somebody needs it. Plaintext of keys exists only below this door.
"""

import importlib
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import anyio
import anyio.to_thread

from botwarden.errors import Missing
from botwarden.exchange.account import BinanceAccount
from botwarden.exchange.market import BinanceMarket
from botwarden.exchange.port import Credentials, OpenSecret
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.user_streams import KeyListener
from botwarden.exchange.venues import VenueUrls
from botwarden.exchange.weights import OrderCount
from botwarden.exchange.wire import Connections, Wire
from botwarden.runtime import Clock
from botwarden.trading.bot import ApiKeyId, Venue


class BinanceExchange:
    """An `Exchange`: one client per key on shared sockets, one market per venue."""

    def __init__(
        self,
        venues: Mapping[Venue, VenueUrls],
        open_secret: OpenSecret,
        clock: Clock,
        *,
        rng: random.Random | None = None,
        receive_window: timedelta = timedelta(seconds=5),
        request_timeout_s: float = 10.0,
        stream_rules: StreamRules | None = None,
        on_pause: Callable[[Venue, datetime], None] | None = None,
    ) -> None:
        self._open_secret = open_secret
        self._receive_window = receive_window
        self._request_timeout_s = request_timeout_s
        self._connections = Connections()
        self._keys: dict[tuple[Venue, ApiKeyId], _OpenKey] = {}
        self._opening: defaultdict[ApiKeyId, anyio.Lock] = defaultdict(anyio.Lock)
        self._markets = {
            venue: BinanceMarket(
                venue,
                urls,
                clock=clock,
                rng=rng or random.Random(),  # noqa: S311 - jitter, not a secret
                connections=self._connections,
                request_timeout_s=request_timeout_s,
                receive_window_ms=_in_ms(receive_window),
                stream_rules=stream_rules,
                on_pause=on_pause,
            )
            for venue, urls in venues.items()
        }

    def market(self, venue: Venue) -> BinanceMarket:
        """Return the venue's public side.

        Raises:
            Missing: this installation does not know the venue.
        """
        try:
            return self._markets[venue]
        except KeyError:
            raise Missing(f"this installation has no venue {venue}") from None

    async def account(self, venue: Venue, api_key_id: ApiKeyId) -> BinanceAccount:
        """Open the private side of a key. Who opens it closes it; all who have it open share one client.

        The venue's clock is measured first, so that no order is stamped by a clock that was never compared.

        Raises:
            Missing: no such key or venue.
            UnreadableSecret: the stored secret cannot be opened.
            ClientFailed: the client could not be made.
            Unavailable: the venue does not answer.
        """
        market = self.market(venue)
        await market.clock.measure_once()
        async with self._opening[api_key_id]:
            key = self._keys.get((venue, api_key_id))
            if key is None:
                credentials = await self._open_secret(api_key_id)
                key = self._keys[venue, api_key_id] = self._opened(market, credentials)
        key.holders += 1
        return BinanceAccount(
            key.wire,
            market.clock,
            market.commissions,
            key.orders,
            receive_window=self._receive_window,
            listen=lambda hear: market.user_streams.listen(key.listener, hear),
            on_close=lambda: self._release(venue, api_key_id, key),
        )

    def pause(self, venue: Venue, until: datetime) -> None:
        """Send nothing to the venue before this moment: another process of this address was told so."""
        self.market(venue).budget.pause(until, heard_elsewhere=True)

    async def run(self) -> None:
        """Keep clocks true and streams alive, for ever; run by the owner as a duty."""
        async with anyio.create_task_group() as group:
            # At its first need it would hold up the loop, and with it open transactions.
            group.start_soon(partial(anyio.to_thread.run_sync, _load_library, abandon_on_cancel=True))
            for market in self._markets.values():
                group.start_soon(market.run)

    async def close(self) -> None:
        """Close every client and every socket. `run` must have ended."""
        for key in self._keys.values():
            await key.wire.close()
        for market in self._markets.values():
            await market.close()
        await self._connections.close()

    def _opened(self, market: BinanceMarket, credentials: Credentials) -> "_OpenKey":
        orders = OrderCount(market.clock.now, market.order_limits)
        wire = Wire(
            market.urls,
            self._connections,
            market.budget,
            market.clock,
            credentials=credentials,
            orders=orders,
            receive_window_ms=_in_ms(self._receive_window),
            request_timeout_s=self._request_timeout_s,
        )
        wire.open()
        return _OpenKey(wire, orders, KeyListener(wire))

    async def _release(self, venue: Venue, api_key_id: ApiKeyId, key: "_OpenKey") -> None:
        key.holders -= 1
        if key.holders == 0 and self._keys.get((venue, api_key_id)) is key:
            del self._keys[venue, api_key_id]
            await key.wire.close()


@dataclass(slots=True)
class _OpenKey:
    """One key's client and order count, shared by all who have the account open."""

    wire: Wire
    orders: OrderCount
    listener: KeyListener
    holders: int = 0


def _load_library() -> None:
    """Import python-binance, which takes half a second."""
    importlib.import_module("botwarden.exchange.client")


def _in_ms(window: timedelta) -> int:
    return window // timedelta(milliseconds=1)
