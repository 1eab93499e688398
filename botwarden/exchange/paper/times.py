"""The venue's two times: the clock on the wall, and the market's own.

Server time, signatures, orders and trades follow the wall; only candles and prices follow the market.
"""

import time
from typing import Protocol

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class ServerClock(Protocol):
    """The venue's wall clock."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...


class SystemServerClock:
    """The machine's own time. The one place of the paper exchange that reads it."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Return the machine's wall clock in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return the machine's monotonic clock in seconds."""
        return time.monotonic()


class MarketClock:
    """The market's time: stands at a position until started, then runs `speed` times as fast as the wall."""

    def __init__(self, clock: ServerClock, *, position_ms: int, speed: float) -> None:
        self._clock = clock
        self.speed = speed
        self._from_ms = position_ms
        self._from_s = clock.monotonic()

    def now_ms(self) -> int:
        """Return the market's time in milliseconds."""
        return self._from_ms + int((self._clock.monotonic() - self._from_s) * 1000 * self.speed)

    def jump(self, position_ms: int) -> None:
        """Go on from here."""
        self._from_ms = position_ms
        self._from_s = self._clock.monotonic()

    def seconds_until(self, position_ms: int) -> float:
        """Return how long the wall clock takes until then; zero if it has passed."""
        ahead_ms = position_ms - self._from_ms
        return max(0.0, ahead_ms / 1000 / self.speed - (self._clock.monotonic() - self._from_s))
