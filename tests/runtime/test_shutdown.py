"""The end of a whole system, however it comes about."""

import asyncio

import anyio
import pytest

from botwarden.runtime import ChildGaveUp, ChildSpec, Intensity, System
from botwarden.runtime.testing import FakeClock, open_system, settle
from tests.runtime.cast import Book, Boom, BoomError, Diary, Guest, Leave, Stuck, own_tasks, silent

pytestmark = pytest.mark.anyio


async def test_cancellation_is_never_a_crash():
    """Neither a deadline nor the end of the whole program counts against an actor."""
    crashes = []
    system_is_up = asyncio.Event()

    async def program():
        async with System.open(on_crash=lambda *crash: crashes.append(crash), stop_within_s=0.05) as system:
            ref = await system.spawn(ChildSpec("stuck", Stuck))
            ref.tell("go")
            system_is_up.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(program())
    await system_is_up.wait()
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert crashes == []


async def test_impatient_cancellation_ends_everything_at_once():
    """Whoever cancels the program during its orderly stop gets no order, but an end."""
    book = Book()

    class Parent(Guest):
        async def started(self):
            (await self.context.spawn(ChildSpec("child", lambda: Stuck(book)))).tell("go")

    system_is_up = asyncio.Event()

    async def program():
        async with System.open(clock=FakeClock(), on_crash=silent) as system:
            await system.spawn(ChildSpec("parent", lambda: Parent(book)))
            system_is_up.set()
            await asyncio.Event().wait()

    before = own_tasks()
    task = asyncio.ensure_future(program())
    await system_is_up.wait()
    await settle()
    task.cancel()
    await settle()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert book.lines == [("cut off", "child")]
    assert own_tasks() <= before


async def test_error_of_the_block_comes_out_unwrapped():
    """The block's own error ends the system in order and is raised as it is."""
    book = Book()

    async def program():
        async with System.open() as system:
            await system.spawn(ChildSpec("guest", lambda: Guest(book)))
            raise BoomError("mine")

    with pytest.raises(BoomError, match="mine"):
        await program()
    assert book.lines == [("started", "guest"), ("stopped", "guest")]


async def test_time_out_around_a_system_stops_it_in_order():
    """An anyio scope that is cancelled around the block still leaves time for goodbyes."""
    book = Book()
    with anyio.move_on_after(0.01) as scope:
        async with System.open() as system:
            await system.spawn(ChildSpec("guest", lambda: Guest(book)))
            await asyncio.Event().wait()
    assert scope.cancelled_caught
    assert book.lines[-1] == ("stopped", "guest")


async def test_permanent_child_that_cannot_end_is_given_up():
    """A goodbye that hangs keeps a permanent child from returning: its parent has to know."""
    clock = FakeClock()

    class Clingy(Diary):
        async def stopped(self):
            await asyncio.Event().wait()

    async def program():
        async with open_system(clock=clock, on_crash=silent) as system:
            ref = await system.spawn(ChildSpec("clingy", Clingy, stop_within_s=1.0))
            ref.tell(Leave())
            await clock.advance(2.0)

    with pytest.raises(ChildGaveUp, match="in time"):
        await program()


async def test_ten_thousand_idle_children_stop_within_one_turn_of_the_loop():
    """Ending what is idle costs no task."""
    async with System.open() as system:
        refs = [await system.spawn(ChildSpec(f"{number}", Diary, wait=False)) for number in range(10_000)]
        tasks = own_tasks()
        await system.stop()
        assert not any(ref.is_alive for ref in refs)
        assert len(own_tasks()) <= len(tasks) + 1


async def test_failure_with_a_stuck_actor_still_ends():
    """Escalation shuts down everything, the stuck included, and takes no real time under a fake clock."""
    clock, book = FakeClock(), Book()

    async def program():
        async with open_system(clock=clock, on_crash=silent) as system:
            stuck = await system.spawn(ChildSpec("stuck", lambda: Stuck(book)))
            stuck.tell("go")
            failing = await system.spawn(ChildSpec("failing", Diary, intensity=Intensity(restarts=0)))
            failing.tell(Boom())
            await asyncio.Event().wait()

    with pytest.raises(ChildGaveUp):
        await program()
    assert book.lines == [("cut off", "stuck")]
