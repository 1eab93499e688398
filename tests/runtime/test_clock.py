"""One suite for both clocks, then what only the fake one can do."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.runtime import SystemClock
from botwarden.runtime.testing import START, FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["system", "fake"])
async def clock(request):
    """Either clock; the fake one runs by itself here."""
    if request.param == "system":
        yield SystemClock()
        return
    fake = FakeClock()
    driver = asyncio.ensure_future(fake.run_until(asyncio.get_running_loop().create_future()))
    yield fake
    driver.cancel()
    await asyncio.wait([driver])


async def test_sleepers_wake_in_the_order_of_their_time(clock):
    """Who sleeps shorter wakes first."""
    woken = []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (0.03, 0.01, 0.02, 0.0):
            group.create_task(sleeper(seconds))
    assert woken == [0.0, 0.01, 0.02, 0.03]


async def test_sleep_takes_its_time(clock):
    """The monotonic clock shows at least what was slept."""
    before = clock.monotonic()
    await clock.sleep(0.02)
    assert clock.monotonic() - before >= 0.019


async def test_cancelled_alarm_never_rings(clock):
    """Cancelling is final, and may be done twice."""
    rung = []
    alarm = clock.call_later(0.01, lambda: rung.append("cancelled"))
    clock.call_later(0.01, lambda: rung.append("other"))
    alarm.cancel()
    alarm.cancel()
    await clock.sleep(0.02)
    assert rung == ["other"]


async def test_now_is_aware_utc(clock):
    """The wall clock speaks UTC."""
    assert clock.now().tzinfo is UTC


async def test_sleeper_may_be_cancelled(clock):
    """A time-out around a sleep works as around anything else."""
    sleeping = asyncio.ensure_future(clock.sleep(60))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping


async def test_fake_time_stands_still():
    """Without `advance`, nobody wakes."""
    clock = FakeClock()
    sleeping = asyncio.ensure_future(clock.sleep(0.001))
    await clock.advance(0.0)
    assert not sleeping.done()
    assert clock.now() == START
    await clock.advance(0.001)
    assert sleeping.done()


@given(st.lists(st.floats(0.001, 50.0), max_size=12), st.lists(st.floats(0.0, 20.0), max_size=8))
async def test_advance_wakes_exactly_who_is_due(naps, steps):
    """After each step, those have woken whose time has come: in order, at their own moment."""
    clock, woken = FakeClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for seconds in naps:
            group.create_task(sleeper(seconds))
        for step in steps:
            await clock.advance(step)
            assert [nap for nap, _ in woken] == sorted(nap for nap in naps if nap <= clock.monotonic())
        await clock.advance(50.0)
    assert woken == [(nap, nap) for nap in sorted(naps)]


async def test_who_is_woken_may_sleep_again_within_one_advance():
    """A loop that sleeps a second each time turns ten times in ten seconds."""
    clock, turns = FakeClock(), []

    async def loop():
        while True:
            await clock.sleep(1.0)
            turns.append(clock.monotonic())

    looping = asyncio.ensure_future(loop())
    await clock.advance(10.0)
    assert turns == [float(turn) for turn in range(1, 11)]
    looping.cancel()
    await asyncio.wait([looping])


async def test_jump_moves_the_wall_clock_only():
    """A step of the wall clock wakes nobody, and may go backwards."""
    clock = FakeClock(datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
    sleeping = asyncio.ensure_future(clock.sleep(30.0))
    await clock.advance(0.0)
    clock.jump(timedelta(hours=2))
    clock.jump(-60.0)
    await clock.advance(0.0)
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 3, 2, 1, 58, tzinfo=UTC), 0.0)
    assert not sleeping.done()
    await clock.advance(30.0)
    assert sleeping.done()


async def test_run_until_lets_time_fly():
    """An hour of fake time takes no real one."""
    clock = FakeClock()

    async def work():
        for _ in range(60):
            await clock.sleep(60.0)
        return "done"

    assert await clock.run_until(work()) == "done"
    assert clock.monotonic() == 3600.0


async def test_run_until_raises_what_the_work_raises():
    """A failure is not swallowed."""
    clock = FakeClock()

    async def work():
        await clock.sleep(1.0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await clock.run_until(work())


def test_fake_clock_needs_an_aware_start():
    """Naive times are mistakes."""
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2026, 1, 1))  # noqa: DTZ001 - naive on purpose
