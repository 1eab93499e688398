"""Timers and intervals of an actor, on the clock it was given."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.runtime import InboxSpec
from botwarden.runtime.testing import FakeClock, run_actor, settle
from tests.runtime.cast import Diary, Do, Get

pytestmark = pytest.mark.anyio


def in_context(call):
    """Return a message that makes the actor call this with its context."""

    async def work(actor):
        call(actor.context)

    return Do(work)


async def test_timer_rings_once_at_its_time():
    """Not before, not again."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        stage.tell(in_context(lambda context: context.start_timer("t", "ring", after_s=2.0)))
        await clock.advance(1.9)
        assert await stage.ask(Get) == []
        await clock.advance(0.1)
        assert await stage.ask(Get) == ["ring"]
        await clock.advance(100.0)
        assert await stage.ask(Get) == ["ring"]


async def test_same_key_replaces():
    """Of two timers with one key only the later set counts, whichever kind they are."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        stage.tell(in_context(lambda context: context.start_interval("t", "old", every_s=1.0)))
        stage.tell(in_context(lambda context: context.start_timer("t", "new", after_s=3.0)))
        await clock.advance(10.0)
        assert await stage.ask(Get) == ["new"]


async def test_cancelled_timer_is_not_received_even_if_it_has_rung():
    """Cancelling reaches into the inbox."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        gate = asyncio.Event()
        stage.tell(in_context(lambda context: context.start_timer("t", "ring", after_s=1.0)))
        stage.tell(in_context(lambda context: context.start_interval("i", "beat", every_s=1.0)))
        await settle()
        stage.tell(Do(lambda _: gate.wait()))
        stage.tell(in_context(lambda context: context.cancel_timer("t")))
        stage.tell(in_context(lambda context: context.cancel_timer("i")))
        stage.tell(in_context(lambda context: context.cancel_timer("never set")))
        await clock.advance(1.5)
        gate.set()
        await clock.advance(5.0)
        assert await stage.ask(Get) == []
        assert stage.crashes == []


async def test_interval_waits_at_most_once():
    """An actor that is busy for many beats finds one of them, and the beat goes on."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        gate = asyncio.Event()
        stage.tell(in_context(lambda context: context.start_interval("i", "beat", every_s=1.0)))
        await settle()
        stage.tell(Do(lambda _: gate.wait()))
        await clock.advance(10.5)
        gate.set()
        await settle()
        assert await stage.ask(Get) == ["beat"]
        await clock.advance(2.0)
        assert await stage.ask(Get) == ["beat"] * 3


async def test_timers_find_room_in_a_full_inbox():
    """What an actor promised itself is not refused because others were faster."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock, inbox=InboxSpec(capacity=1)) as stage:
        gate = asyncio.Event()
        stage.tell(in_context(lambda context: context.start_timer("t", "ring", after_s=1.0)))
        await settle()
        stage.tell(Do(lambda _: gate.wait()))
        await settle()
        assert stage.tell("fills it")
        assert not stage.tell("refused")
        await clock.advance(1.0)
        gate.set()
        await settle()
        assert await stage.ask(Get) == ["fills it", "ring"]


async def test_jump_of_the_wall_clock_moves_no_timer():
    """Timers count seconds, not dates."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        stage.tell(in_context(lambda context: context.start_timer("t", "ring", after_s=10.0)))
        await settle()
        clock.jump(3600.0)
        await clock.advance(9.0)
        assert await stage.ask(Get) == []
        clock.jump(-7200.0)
        await clock.advance(1.0)
        assert await stage.ask(Get) == ["ring"]


async def test_interval_lasts_longer_than_nothing():
    """A beat of zero seconds would never let anybody else run."""
    async with run_actor(Diary) as stage:
        stage.tell(in_context(lambda context: context.start_interval("i", "beat", every_s=0.0)))
        await settle()
        assert isinstance(stage.crashes[0].error, ValueError)


@given(
    st.lists(
        st.tuples(st.sampled_from(["once", "often", "cancel"]), st.sampled_from("abc"), st.integers(1, 9)),
        max_size=12,
    ),
    st.lists(st.integers(0, 7), max_size=6),
)
async def test_timers_match_their_model(steps, waits):
    """Whatever is set, replaced and cancelled in whatever order: exactly the living timers ring, in order."""
    clock, model, number = FakeClock(), {}, 0
    expected: list[int] = []
    async with run_actor(Diary, clock=clock) as stage:
        waits = [*waits, 20]
        for index in range(max(len(steps), len(waits))):
            if index < len(steps):
                kind, key, seconds = steps[index]
                number += 1
                if kind == "cancel":
                    model.pop(key, None)
                    stage.tell(in_context(lambda context, key=key: context.cancel_timer(key)))
                else:
                    every = seconds if kind == "often" else None
                    model[key] = (clock.monotonic() + seconds, number, every)
                    stage.tell(in_context(_setter(kind, key, number, seconds)))
            wait = waits[index] if index < len(waits) else 0
            expected += _ring(model, clock.monotonic() + wait)
            await clock.advance(wait)
        assert sorted(await stage.ask(Get)) == sorted(expected)


def _setter(kind, key, number, seconds):
    if kind == "once":
        return lambda context: context.start_timer(key, number, after_s=seconds)
    return lambda context: context.start_interval(key, number, every_s=seconds)


def _ring(model, until_s):
    """Return what rings by then, and move the model there."""
    rung = []
    while due := [(at, key) for key, (at, _, _) in model.items() if at <= until_s]:
        at, key = min(due)
        _, number, every = model.pop(key)
        rung.append(number)
        if every is not None:
            model[key] = (at + every, number, every)
    return rung
