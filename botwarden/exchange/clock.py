"""The venue's clock: our monotonic clock plus a measured offset.

The venue stamps its answer somewhere between our question and its arrival, so the middle is taken and
half the round trip is the uncertainty. A worse sample never replaces a better one unless the two
contradict each other: then the venue's clock, or ours, has jumped. The wall clock of this machine is
used only until the first answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from botwarden.errors import Unavailable
from botwarden.runtime import Clock

#: How fast two clocks may drift apart, in seconds per second: ten times what quartz does.
DRIFT = 0.0005

#: How often the offset is measured, and how soon again after a failure.
MEASURE_EVERY_S = 60.0
MEASURE_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class _Sample:
    """The venue's time at a moment of our monotonic clock."""

    venue_time: datetime
    monotonic_s: float
    uncertainty_s: float

    def at(self, monotonic_s: float) -> datetime:
        return self.venue_time + timedelta(seconds=monotonic_s - self.monotonic_s)

    def uncertainty_at(self, monotonic_s: float) -> float:
        return self.uncertainty_s + DRIFT * (monotonic_s - self.monotonic_s)


class MeasuredClock:
    """A `VenueClock` that asks the venue now and then."""

    def __init__(self, clock: Clock, ask_server: Callable[[], Awaitable[datetime]]) -> None:
        self._clock = clock
        self._ask_server = ask_server
        self._sample: _Sample | None = None
        self._measuring = anyio.Lock()
        self._attempts = 0
        #: Set by the first use: a venue that nobody needs is never called.
        self._needed = anyio.Event()

    @property
    def is_measured(self) -> bool:
        """Whether the venue has ever answered."""
        return self._sample is not None

    @property
    def uncertainty_s(self) -> float | None:
        """How far `now` may be off, in seconds; None before the first answer."""
        return None if self._sample is None else self._sample.uncertainty_at(self._clock.monotonic())

    def now(self) -> datetime:
        """Return the venue's present time (aware, UTC); before the first answer the machine's own."""
        self._needed.set()
        if self._sample is None:
            return self._clock.now()
        return self._sample.at(self._clock.monotonic())

    async def ask(self) -> datetime:
        """Return the venue's time as it just answered it, and correct the offset.

        Raises:
            Unavailable: no answer.
        """
        asked_at = self._clock.monotonic()
        venue_time = await self._ask_server()
        answered_at = self._clock.monotonic()
        fresh = _Sample(venue_time, (asked_at + answered_at) / 2, (answered_at - asked_at) / 2)
        if self._sample is None or _replaces(fresh, self._sample, answered_at):
            self._sample = fresh
        return venue_time

    async def measure_once(self) -> None:
        """Ask the venue unless it has answered before; many callers at once share one attempt.

        Raises:
            Unavailable: no answer.
        """
        attempts = self._attempts
        async with self._measuring:
            if self._sample is not None:
                return
            if self._attempts != attempts:
                raise Unavailable("the venue's clock could not be read just now")
            self._attempts += 1
            await self.ask()

    async def run(self) -> None:
        """Keep the offset fresh for ever, from the first use on; run by the owner as a duty."""
        await self._needed.wait()
        while True:
            try:
                await self.ask()
            except Unavailable:
                await self._clock.sleep(MEASURE_AGAIN_S)
            else:
                await self._clock.sleep(MEASURE_EVERY_S)


def _replaces(fresh: _Sample, known: _Sample, monotonic_s: float) -> bool:
    """Whether the fresh sample is better, or proves that a clock has jumped."""
    aged_s = known.uncertainty_at(monotonic_s)
    apart_s = abs((fresh.at(monotonic_s) - known.at(monotonic_s)).total_seconds())
    return fresh.uncertainty_s <= aged_s or apart_s > fresh.uncertainty_s + aged_s
