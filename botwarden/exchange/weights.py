"""What the venue still lets us ask: one budget of request weight per address, one order count per account.

The venue's own headers are the truth, because other processes spend from the same address; between two
headers the requests in flight count as well. Each priority may fill the minute only up to its share, so
candles can never take what an exit needs. A 429 or 418 stops the whole process until its time is over.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

import structlog

from botwarden.exchange.errors import NoBudget
from botwarden.runtime import Clock

log = structlog.get_logger(__name__)

#: Weight per minute and address until the venue says otherwise. Source: Binance spot API, exchangeInfo.
DEFAULT_WEIGHT_PER_MINUTE = 6000

#: Orders per window in seconds and account until the venue says otherwise. Source: as above.
DEFAULT_ORDERS: dict[int, int] = {10: 50, 86_400: 160_000}

#: A waiting request looks again at least this often: answers of others may have made room.
LOOK_AGAIN_S = 1.0

_ORDER_COUNT_HEADER = re.compile(r"x-mbx-order-count-(\d+)([smhd])", re.IGNORECASE)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Priority(IntEnum):
    """Who goes first when the budget is short."""

    EXIT = 0
    ORDER_QUERY = 1
    ENTRY = 2
    CANDLES = 3


#: How much of the minute's weight each priority may see used before it has to wait, in percent.
SHARES: dict[Priority, int] = {
    Priority.EXIT: 98,
    Priority.ORDER_QUERY: 90,
    Priority.ENTRY: 80,
    Priority.CANDLES: 65,
}


@dataclass(slots=True, eq=False)
class Reservation:
    """Weight set aside for one request."""

    weight: int
    #: The venue's minute in which it was set aside.
    minute: int


class WeightBudget:
    """The request weight of one address at one venue."""

    def __init__(
        self,
        clock: Clock,
        venue_now: Callable[[], datetime],
        *,
        limit_per_minute: int = DEFAULT_WEIGHT_PER_MINUTE,
        on_pause: Callable[[datetime], None] | None = None,
    ) -> None:
        self._clock = clock
        self._venue_now = venue_now
        self._limit = limit_per_minute
        self._on_pause = on_pause
        self._minute = 0
        self._used = 0
        self._in_flight = 0
        self._waiting: list[tuple[Priority, int]] = []
        self._paused_until: datetime | None = None

    @property
    def used(self) -> int:
        """Weight of this minute that is spent or in flight."""
        self._turn()
        return self._used + self._in_flight

    def set_limit(self, limit_per_minute: int) -> None:
        """Follow the limit that the venue publishes."""
        self._limit = limit_per_minute

    def pause(self, until: datetime, *, heard_elsewhere: bool = False) -> None:
        """Send nothing before this moment of the venue's clock.

        `heard_elsewhere`: another process of this address was told, so nobody needs to be told again.
        """
        if self._paused_until is not None and until <= self._paused_until:
            return
        self._paused_until = until
        log.warning("venue.paused", until=until.isoformat(), heard_elsewhere=heard_elsewhere)
        if self._on_pause is not None and not heard_elsewhere:
            self._on_pause(until)

    def pause_for(self, seconds: float) -> None:
        """Send nothing for so long: the venue said so."""
        self.pause(self._venue_now() + timedelta(seconds=seconds))

    async def reserve(self, priority: Priority, weight: int, *, within_s: float) -> Reservation:
        """Set weight aside, waiting for room at most so long.

        Raises:
            NoBudget: there will be none in time. At once, when that is certain.
        """
        deadline = self._clock.monotonic() + within_s
        claim = (priority, weight)
        self._waiting.append(claim)
        try:
            while (wait_s := self._wait_s(priority, weight)) > 0:
                if self._clock.monotonic() + wait_s > deadline:
                    raise NoBudget(f"the venue's rate limits leave no room for another {wait_s:.0f} s")
                await self._clock.sleep(min(wait_s, LOOK_AGAIN_S))
        finally:
            self._waiting.remove(claim)
        self._in_flight += weight
        return Reservation(weight, self._minute)

    def settle(self, reservation: Reservation, used: int | None) -> None:
        """Give a reservation back. `used`: what the answer's header says of this minute, if it came."""
        self._in_flight -= reservation.weight
        self._turn()
        if reservation.minute != self._minute:
            return  # It belongs to a minute that is over.
        self._used = self._used + reservation.weight if used is None else max(self._used, used)

    def _turn(self) -> None:
        # The venue's windows are aligned to its clock. Source: Binance spot API, limits.
        minute = int(self._venue_now().timestamp() // 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0

    def _wait_s(self, priority: Priority, weight: int) -> float:
        self._turn()
        now = self._venue_now()
        if self._paused_until is not None and now < self._paused_until:
            return max((self._paused_until - now).total_seconds(), 0.001)
        before_us = sum(other for rank, other in self._waiting if rank < priority)
        room = self._limit * SHARES[priority] // 100 - self._used - self._in_flight - before_us
        if weight <= room or self._used + self._in_flight + before_us == 0:
            return 0.0
        return max(60.0 - now.timestamp() % 60.0, 0.001)


class OrderCount:
    """How many orders one account has placed in the venue's windows."""

    def __init__(self, venue_now: Callable[[], datetime], limits: Mapping[int, int] | None = None) -> None:
        self._venue_now = venue_now
        #: Window in seconds → orders allowed; shared by all accounts of a venue, which may learn them later.
        self._limits = DEFAULT_ORDERS if limits is None else limits
        self._counts: dict[int, tuple[int, int]] = {}
        self._paused_until: datetime | None = None

    def note(self, headers: Mapping[str, str]) -> None:
        """Take over what the headers of an answer say."""
        now_s = self._venue_now().timestamp()
        for name, value in headers.items():
            found = _ORDER_COUNT_HEADER.fullmatch(name)
            if found is not None and value.isdecimal():
                window_s = int(found[1]) * _UNIT_SECONDS[found[2].lower()]
                self._counts[window_s] = (int(now_s // window_s), int(value))

    def pause(self, for_s: float) -> None:
        """Place nothing for so long: the venue said that there were too many orders."""
        self._paused_until = self._venue_now() + timedelta(seconds=for_s)

    def wait_s(self, priority: Priority) -> float:
        """Return how long an order has to wait; zero: it may go. Entries leave a tenth to exits."""
        now = self._venue_now()
        waits = [0.0]
        if self._paused_until is not None:
            waits.append((self._paused_until - now).total_seconds())
        for window_s, (window, count) in self._counts.items():
            limit = self._limits.get(window_s)
            if limit is None or window != int(now.timestamp() // window_s):
                continue
            if count >= (limit if priority is Priority.EXIT else limit * 9 // 10):
                waits.append((window + 1) * window_s - now.timestamp())
        return max(waits)
