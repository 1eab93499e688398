"""The venue's clock is our monotonic clock plus what was measured, and is never made worse by measuring."""

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import pytest

from botwarden.errors import Unavailable
from botwarden.exchange.clock import MEASURE_EVERY_S, MeasuredClock
from botwarden.runtime.testing import FakeClock

pytestmark = pytest.mark.anyio


class Server:
    """A venue whose clock is ahead of ours, at the end of a slow line."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.ahead = timedelta()
        self.there_s = 0.0
        self.back_s = 0.0
        self.is_away = False
        self.asked = 0

    def now(self) -> datetime:
        """Return the venue's true time."""
        return datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=self._clock.monotonic()) + self.ahead

    async def ask(self) -> datetime:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if self.is_away:
            raise Unavailable
        if self.there_s:
            await self._clock.advance(self.there_s)
        answer = self.now()
        if self.back_s:
            await self._clock.advance(self.back_s)
        return answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(clock)


@pytest.fixture
def venue_clock(clock: FakeClock, server: Server) -> MeasuredClock:
    return MeasuredClock(clock, server.ask)


def off_s(venue_clock: MeasuredClock, server: Server) -> float:
    """Return by how many seconds the clock is wrong."""
    return abs((venue_clock.now() - server.now()).total_seconds())


async def test_machine_time_until_the_first_answer(clock: FakeClock, venue_clock: MeasuredClock) -> None:
    """Before the venue has answered there is nothing better than the machine's clock."""
    assert venue_clock.now() == clock.now()
    assert not venue_clock.is_measured
    assert venue_clock.uncertainty_s is None


async def test_round_trip_is_taken_out(venue_clock: MeasuredClock, server: Server) -> None:
    """A symmetric line leaves no error; the answer itself is given as it came."""
    server.ahead, server.there_s, server.back_s = timedelta(seconds=90), 0.4, 0.4
    answered = await venue_clock.ask()
    assert server.now() - answered == timedelta(seconds=0.4)
    assert off_s(venue_clock, server) < 1e-6


async def test_error_is_within_the_uncertainty(venue_clock: MeasuredClock, server: Server) -> None:
    """A lopsided line is off by no more than half the round trip, as the clock itself says."""
    server.there_s, server.back_s = 0.0, 0.6
    await venue_clock.ask()
    assert venue_clock.uncertainty_s == pytest.approx(0.3, abs=0.001)
    assert off_s(venue_clock, server) <= 0.3 + 1e-6


async def test_worse_sample_changes_nothing(venue_clock: MeasuredClock, server: Server) -> None:
    """A slow answer that agrees does not spoil what a quick one has measured."""
    server.there_s = server.back_s = 0.01
    await venue_clock.ask()
    server.there_s, server.back_s = 0.0, 2.0
    await venue_clock.ask()
    assert off_s(venue_clock, server) < 1e-6


@pytest.mark.parametrize("jump_s", [-30, 30])
async def test_jump_is_believed(venue_clock: MeasuredClock, server: Server, jump_s: float) -> None:
    """An answer that contradicts what was known wins, however slow it came."""
    server.there_s = server.back_s = 0.01
    await venue_clock.ask()
    server.ahead = timedelta(seconds=jump_s)
    server.there_s = server.back_s = 1.0
    await venue_clock.ask()
    assert off_s(venue_clock, server) < 1e-6


async def test_old_sample_makes_room(clock: FakeClock, venue_clock: MeasuredClock, server: Server) -> None:
    """Clocks drift, so in time a slower answer becomes the better one."""
    server.there_s = server.back_s = 0.01
    await venue_clock.ask()
    await clock.advance(3600)
    server.there_s, server.back_s = 0.2, 0.2
    await venue_clock.ask()
    assert venue_clock.uncertainty_s == pytest.approx(0.2, abs=0.001)


async def test_many_ask_once(venue_clock: MeasuredClock, server: Server) -> None:
    """Whoever needs the first measurement shares it."""
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(venue_clock.measure_once)
    assert server.asked == 1


async def test_many_share_a_failure(venue_clock: MeasuredClock, server: Server) -> None:
    """While the venue is away those who wait for the same attempt do not each begin another one."""
    server.is_away = True
    failures: list[Unavailable] = []

    async def measure() -> None:
        try:
            await venue_clock.measure_once()
        except Unavailable as away:
            failures.append(away)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(measure)
    assert len(failures) == 5
    assert server.asked == 1


async def test_kept_fresh_once_needed(clock: FakeClock, venue_clock: MeasuredClock, server: Server) -> None:
    """A venue that nobody needs is never called; one that is needed is asked again and again."""
    async with anyio.create_task_group() as group:
        group.start_soon(venue_clock.run)
        await clock.advance(1000)
        assert server.asked == 0
        venue_clock.now()
        await clock.advance(0.001)
        assert server.asked == 1
        await clock.advance(MEASURE_EVERY_S + 1)
        assert server.asked == 2
        server.is_away = True
        await clock.advance(MEASURE_EVERY_S + 1)
        await clock.advance(3)
        assert server.asked >= 4
        group.cancel_scope.cancel()
