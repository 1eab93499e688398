"""The world around the actors under test: a clock that tests move, and a paper exchange that lives by it.

The market stands still until a test says a price; the venue's time, its windows and its records all follow
the fake clock, while requests and streams are real.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.amounts import units
from botwarden.exchange.paper.fault_plan import Scheduled
from botwarden.exchange.paper.faults import RequestFault
from botwarden.exchange.paper.options import PaperOptions
from botwarden.exchange.paper.server import opened
from botwarden.exchange.paper.venue import PaperVenue
from botwarden.runtime.testing import FakeClock

TOKEN = "admin-token"

#: So slow that no price comes by itself.
STANDS_STILL = 1e-6

#: What the tests never run out of.
PLENTY = 10**9


class VenueTime:
    """The fake clock as the venue reads it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def now_ms(self) -> int:
        """The wall clock in milliseconds."""
        return round(self._clock.now().timestamp() * 1000)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._clock.monotonic()


@dataclass
class World:
    """A running paper exchange and the time."""

    clock: FakeClock
    venue: PaperVenue
    origin: str
    admin: PaperAdmin
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def open_account(self) -> tuple[str, str]:
        """Return a fresh key and its secret; the account has 100,000 USDT."""
        number = next(self._numbers)
        key, secret = f"key-{number:028}", f"secret-{number:025}"
        await self.admin.register(key, secret)
        return key, secret

    async def next_minute(self) -> None:
        """Let the venue's minute turn: what was asked in the last one counts no more."""
        await self.clock.advance(60.0 - self.clock.now().timestamp() % 60)

    def say(self, price: str, symbol: str = "BTCUSDT") -> None:
        """Let the market trade at this price."""
        market = self.venue.market.symbols[symbol]
        market.price = units(price)
        self.venue.market.trade(market, market.price, market.instrument.step, self._now_ms(), sold=False)

    def fault(self, **wish: object) -> Scheduled:
        """Let requests fail; orders unless told otherwise."""
        return self.venue.faults.add(RequestFault(**{"on": "POST order", **wish}))

    def close_minute(self) -> None:
        """Let the market go on until the present minute's candles have closed."""
        minute_ms = self.venue.market.minute_ms
        while self.venue.market.minute_ms == minute_ms:
            self.venue.market.step(self._now_ms())

    def _now_ms(self) -> int:
        return self.venue.clock.now_ms()


@asynccontextmanager
async def open_world(folder: Path, *, seed: int | None = 7) -> AsyncIterator[World]:
    """Run the exchange until the end. Without a seed its market begins at the present of the fake clock."""
    clock = FakeClock()
    options = PaperOptions(
        store=folder / "paper.sqlite",
        seed=seed,
        speed=STANDS_STILL,
        symbols=["BTCUSDT", "ETHUSDT"],
        admin_token=TOKEN,
        weight_limit=PLENTY,
        order_limits={10: PLENTY},
    )
    async with opened(options, VenueTime(clock)) as (venue, origin), PaperAdmin(origin, TOKEN) as admin:
        yield World(clock, venue, origin, admin)
