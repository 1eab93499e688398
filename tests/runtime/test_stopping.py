"""Stops: in order, in time, and for ever."""

import asyncio

import anyio
import pytest

from botwarden.runtime import ActorStopped, ChildSpec, Restart, System
from botwarden.runtime.testing import FakeClock, open_system, run_actor, settle
from tests.runtime.cast import Book, Boom, BoomError, Diary, Do, Get, Guest, Stuck, silent

pytestmark = pytest.mark.anyio


class Numb(Stuck):
    """Does not let itself be cancelled, a few times."""

    async def receive(self, _message, /):
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.book.add("numb")


async def test_children_stop_in_reverse_order_then_the_parent():
    """The youngest goes first; a parent says goodbye when nobody is left below."""
    book = Book()

    class Parent(Guest):
        async def started(self):
            for name in ("first", "second", "third"):
                await self.context.spawn(ChildSpec(name, lambda: Guest(book)))

    async with System.open() as system:
        await system.spawn(ChildSpec("parent", lambda: Parent(book)))
        await system.spawn(ChildSpec("aunt", lambda: Guest(book)))
        book.lines.clear()
    assert [name for _, name in book.lines] == ["aunt", "third", "second", "first", "parent"]


async def test_stop_goes_before_mail():
    """The message at hand is finished, what waits is not read, and tells are refused from then on."""
    async with run_actor(Diary, restart=Restart.TRANSIENT) as stage:
        book, gate = Book(), asyncio.Event()

        async def wait(_):
            await gate.wait()
            book.add("finished")

        stage.tell(Do(wait))
        waiting = asyncio.ensure_future(stage.ask(Get))
        await settle()
        stopping = asyncio.ensure_future(stage.system.stop_child(stage.ref))
        await settle()
        assert not stage.tell("too late")
        assert not stage.ref.is_alive
        with pytest.raises(ActorStopped):
            await waiting
        assert not stopping.done()
        gate.set()
        await stopping
        assert book.lines == ["finished"]


async def test_system_messages_go_before_mail():
    """A death is heard before messages that were told earlier."""
    book = Book()
    async with run_actor(lambda: Diary(book)) as stage:
        probe = await stage.probe()
        gate = asyncio.Event()

        async def watch(actor):
            actor.context.watch(probe.ref)
            await gate.wait()

        stage.tell(Do(watch))
        stage.tell("mail")
        await settle()
        await stage.system.stop_child(probe.ref)
        gate.set()
        await stage.ask(Get)
        assert book.lines == [("terminated", "probe"), "mail"]


async def test_watching_the_dead_is_answered_at_once():
    """Whoever comes too late hears of it all the same."""
    book = Book()
    async with run_actor(lambda: Diary(book)) as stage:
        probe = await stage.probe()
        await stage.system.stop_child(probe.ref)

        async def watch(actor):
            actor.context.watch(probe.ref)

        await stage.ask(lambda reply: Do(watch, reply))
        await stage.ask(Get)
        assert book.lines == [("terminated", "probe")]


async def test_child_that_exceeds_its_deadline_is_cancelled():
    """After `stop_within_s` of the system's clock, and not before."""
    clock, book = FakeClock(), Book()
    async with open_system(clock=clock) as system:
        ref = await system.spawn(ChildSpec("stuck", lambda: Stuck(book), stop_within_s=3.0))
        ref.tell("go")
        await settle()
        stopping = asyncio.ensure_future(system.stop_child(ref))
        await clock.advance(2.9)
        assert not stopping.done()
        await clock.advance(0.1)
        assert stopping.done()
        assert book.lines == [("cut off", "stuck")]


async def test_deadline_counts_for_everybody_below():
    """A parent's deadline ends a whole tree, the parent last."""
    clock, book = FakeClock(), Book()

    class Parent(Guest):
        async def started(self):
            for name in ("a", "b"):
                child = await self.context.spawn(ChildSpec(name, lambda: Stuck(book), stop_within_s=100.0))
                child.tell("go")
            self.context.start_duty("duty", self.serve)

        async def serve(self):
            try:
                await asyncio.Event().wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await asyncio.sleep(0)
                book.add("duty ended")

    async with open_system(clock=clock) as system:
        ref = await system.spawn(ChildSpec("parent", lambda: Parent(book), stop_within_s=3.0))
        await settle()
        stopping = asyncio.ensure_future(system.stop_child(ref))
        await clock.advance(3.0)
        assert stopping.done()
        assert book.lines == ["duty ended", ("cut off", "b"), ("cut off", "a")]


async def test_slow_goodbye_is_cut_off():
    """`stopped` runs under the same deadline."""
    clock = FakeClock()

    class Chatty(Diary):
        async def stopped(self):
            await asyncio.Event().wait()

    async with open_system(clock=clock) as system:
        ref = await system.spawn(ChildSpec("chatty", Chatty, stop_within_s=2.0))
        stopping = asyncio.ensure_future(system.stop_child(ref))
        await clock.advance(2.0)
        assert stopping.done()


async def test_who_swallows_a_cancellation_is_cancelled_again():
    """Bad manners delay a shutdown, they do not prevent it."""
    clock, book = FakeClock(), Book()
    async with open_system(clock=clock) as system:
        ref = await system.spawn(ChildSpec("numb", lambda: Numb(book), stop_within_s=1.0))
        ref.tell("go")
        await settle()
    assert book.lines == ["numb"] * 3


async def test_crash_while_stopping_is_reported_and_final():
    """A goodbye that fails is known, and stops all the same."""
    crashes = []

    class Rude(Diary):
        async def stopped(self):
            raise BoomError("slammed the door")

    async with System.open(on_crash=lambda *crash: crashes.append(str(crash[1]))) as system:
        ref = await system.spawn(ChildSpec("rude", Rude))
        await system.stop_child(ref)
        assert not ref.is_alive
    assert crashes == ["slammed the door"]


async def test_stop_during_a_rest_is_final():
    """A resting child that is stopped does not come back."""
    clock = FakeClock()
    async with open_system(clock=clock, on_crash=silent) as system:
        ref = await system.spawn(ChildSpec("child", Diary))
        ref.tell(Boom())
        ref.tell("waits")
        await settle()
        await system.stop_child(ref)
        await clock.advance(100.0)
        assert not ref.is_alive
        assert system.tree().children == ()


async def test_stop_during_a_start_waits_for_it():
    """A start that is under way is finished, then the actor says goodbye."""
    clock, book = FakeClock(), Book()

    class Slow(Guest):
        async def started(self):
            await self.context.clock.sleep(2.0)
            await super().started()

    async with open_system(clock=clock) as system:
        ref = await system.spawn(ChildSpec("slow", lambda: Slow(book), wait=False))
        await settle()
        stopping = asyncio.ensure_future(system.stop_child(ref))
        await clock.advance(2.0)
        assert stopping.done()
        assert book.lines == [("started", "slow"), ("stopped", "slow")]


async def test_stop_before_the_first_step_says_nothing():
    """An actor that never started is not told that it stopped."""
    book = Book()
    async with System.open() as system:
        ref = await system.spawn(ChildSpec("guest", lambda: Guest(book), wait=False))
        await system.stop_child(ref)
        assert book.lines == []
        assert not ref.is_alive


async def test_cancelled_spawner_takes_its_child_with_it():
    """Nobody is left over from a spawn that did not come back."""
    clock = FakeClock()

    class Endless(Diary):
        async def started(self):
            await asyncio.Event().wait()

    async with open_system(clock=clock) as system:
        with anyio.move_on_after(0.0):
            await system.spawn(ChildSpec("endless", Endless, stop_within_s=1.0))
        assert [view.state for view in system.tree().children] == ["starting"]
        await clock.advance(1.0)
        assert system.tree().children == ()


async def test_nobody_is_born_into_a_stopping_house():
    """Once its stop has begun, an actor can start neither children nor duties."""
    failures = []

    class Late(Diary):
        async def stopped(self):
            for start in (self.spawn, self.serve):
                try:
                    await start()
                except ActorStopped as error:
                    failures.append(error)

        async def spawn(self):
            await self.context.spawn(ChildSpec("child", Diary))

        async def serve(self):
            self.context.start_duty("duty", asyncio.Event().wait)

    async with System.open() as system:
        await system.spawn(ChildSpec("late", Late))
    assert len(failures) == 2
    with pytest.raises(ActorStopped):
        await system.spawn(ChildSpec("later", Diary))


async def test_only_a_parent_stops_its_child():
    """Others cannot, and stopping a dead child is no mistake."""
    async with run_actor(Diary) as stage:
        probe = await stage.probe()

        async def stop_other(actor):
            await actor.context.stop_child(probe.ref)

        stage.tell(Do(stop_other))
        await settle()
        assert isinstance(stage.crashes[0].error, ValueError)
        await stage.system.stop_child(probe.ref)
        await stage.system.stop_child(probe.ref)


async def test_equals_may_stop_together():
    """Many children that need a while each stop within one deadline, if their parent says so."""
    clock = FakeClock()

    class Slow(Diary):
        async def stopped(self):
            await clock.sleep(1.0)

    class Parent(Diary):
        children_stop_together = True

        async def started(self):
            self.refs = [await self.context.spawn(ChildSpec(f"{number}", Slow)) for number in range(50)]

    async with open_system(clock=clock) as system:
        ref = await system.spawn(ChildSpec("parent", Parent))

        async def stop_some(actor):
            await actor.context.stop_children(actor.refs[:20])

        await clock.run_until(ref.ask(lambda reply: Do(stop_some, reply), within_s=5.0))
        assert clock.monotonic() == 1.0
        assert len(system.tree().children[0].children) == 30
        await clock.run_until(system.stop())
        assert clock.monotonic() == 2.0
