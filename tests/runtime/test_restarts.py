"""Crashes: small, counted, and slowed down."""

import asyncio
import math

import pytest

from botwarden.runtime import (
    Actor,
    ActorStopped,
    Backoff,
    ChildGaveUp,
    ChildSpec,
    Intensity,
    Restart,
    StrayCancellationError,
    System,
)
from botwarden.runtime.testing import FakeClock, open_system, run_actor, settle
from tests.runtime.cast import Book, Boom, BoomError, Diary, Do, Get, Guest, Leave, silent

pytestmark = pytest.mark.anyio

EVEN = Backoff(first_s=1.0, longest_s=8.0, jitter=0.0)


async def test_ref_inbox_and_waiting_mail_survive_a_crash():
    """Only the message that crashed the actor is lost."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        for message in ("lost with the object", Boom(), "kept", "kept too"):
            stage.tell(message)
        await settle()
        assert stage.tell("told while it rests")
        assert stage.ref.is_alive
        await clock.advance(1.0)
        assert await stage.ask(Get) == ["kept", "kept too", "told while it rests"]
        assert [(crash.name, str(crash.error), crash.restarts) for crash in stage.crashes] == [
            ("actor", "boom", 0)
        ]


async def test_resting_actor_owns_no_task_and_reads_no_mail():
    """Between a crash and the next start nothing runs."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock, backoff=EVEN) as stage:
        stage.tell(Boom())
        stage.tell("later")
        await clock.advance(0.99)
        view = stage.system.tree().children[0]
        assert (view.state, view.depth, view.alive, view.restarts) == ("resting", 1, True, 1)
        assert view.last_failure == "BoomError: boom"
        assert not any(task.get_name() == "actor" for task in asyncio.all_tasks())
        await clock.advance(0.01)
        assert await stage.ask(Get) == ["later"]


async def test_pauses_double():
    """Each crash in a row costs a longer rest, up to the longest."""
    clock, starts = FakeClock(), []

    class Stubborn(Diary):
        async def started(self):
            starts.append(clock.monotonic())
            if len(starts) > 1:
                raise BoomError

    async with run_actor(Stubborn, clock=clock, backoff=EVEN, intensity=Intensity(1_000, 1.0)) as stage:
        stage.tell(Boom())
        await clock.advance(32.0)
    assert starts == [0.0, 1.0, 3.0, 7.0, 15.0, 23.0, 31.0]


async def test_too_many_crashes_are_the_parents_matter():
    """After its last restart the child is gone, its name free, and the parent is told after the watchers."""
    clock, book = FakeClock(), Book()
    intensity = Intensity(restarts=2, within_s=60.0)

    async def hire(actor):
        ref = await actor.context.spawn(ChildSpec("child", Diary, intensity=intensity, backoff=EVEN))
        actor.context.watch(ref)
        return ref

    async with run_actor(lambda: Diary(book), clock=clock) as stage:
        child = await stage.ask(lambda reply: Do(hire, reply))
        for _ in range(3):
            child.tell(Boom())
            await clock.advance(10.0)
        assert book.lines == [("terminated", "child"), ("gave up", "child")]
        assert not child.is_alive
        assert not child.tell("hello?")
        again = await stage.ask(lambda reply: Do(hire, reply))
        assert again.is_alive
        assert [crash.restarts for crash in stage.crashes] == [0, 1, 2]


async def test_failure_that_nobody_handles_leaves_the_system():
    """By default a child's final failure climbs up, and `System.open` raises it at the end."""
    clock = FakeClock()
    never = Intensity(restarts=0)

    class Parent(Diary):
        child_gave_up = Actor.child_gave_up

        async def started(self):
            child = await self.context.spawn(ChildSpec("child", Diary, intensity=never))
            child.tell(Boom("from below"))

    async def program():
        async with open_system(clock=clock, on_crash=silent) as system:
            await system.spawn(ChildSpec("parent", Parent, intensity=never))
            await asyncio.Event().wait()

    with pytest.raises(ChildGaveUp) as caught:
        await program()
    parents = caught.value
    assert parents.name == "parent"
    assert isinstance(parents.error, ChildGaveUp)
    assert str(parents.error.error) == "from below"


@pytest.mark.parametrize(
    ("restart", "message", "comes_back"),
    [
        (Restart.PERMANENT, Boom(), True),
        (Restart.TRANSIENT, Boom(), True),
        (Restart.TEMPORARY, Boom(), False),
        (Restart.PERMANENT, Leave(), True),
        (Restart.TRANSIENT, Leave(), False),
        (Restart.TEMPORARY, Leave(), False),
    ],
)
async def test_restart_table(restart, message, comes_back):
    """Permanent: always; transient: after a crash; temporary: never."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock, restart=restart) as stage:
        stage.tell(message)
        stage.tell("behind")
        await clock.advance(1.0)
        assert stage.ref.is_alive is comes_back
        if comes_back:
            assert await stage.ask(Get) == ["behind"]
        else:
            assert not stage.tell("hello?")


async def test_first_start_that_fails_is_raised_to_the_spawner_who_waits():
    """The child is gone then, and its name free; nobody else hears of it."""

    class Unborn(Diary):
        async def started(self):
            await asyncio.sleep(0)
            raise BoomError("not today")

    def no_object():
        raise BoomError("no object")

    crashes = []
    async with System.open(on_crash=lambda *crash: crashes.append(crash)) as system:
        for start in (Unborn, no_object):
            with pytest.raises(BoomError):
                await system.spawn(ChildSpec("child", start))
        assert (await system.spawn(ChildSpec("child", Diary))).is_alive
        assert len(system.tree().children) == 1
    assert crashes == []


async def test_first_start_that_fails_unawaited_is_a_crash():
    """Who does not wait gets a ref that may come to life later."""
    clock, failures = FakeClock(), [BoomError("factory"), BoomError("started"), None, None]

    class Late(Diary):
        async def started(self):
            await asyncio.sleep(0)
            if (failure := failures.pop(0)) is not None:
                raise failure

    def start():
        if isinstance(failures[0], BoomError) and str(failures[0]) == "factory":
            raise failures.pop(0)
        return Late()

    crashes = []
    async with open_system(clock=clock, on_crash=lambda *crash: crashes.append(crash[1:])) as system:
        ref = await system.spawn(ChildSpec("late", start, wait=False, backoff=EVEN))
        assert ref.tell("hello")
        await clock.advance(3.0)
        assert await ref.ask(Get, within_s=1.0) == ["hello"]
    assert [(str(error), restarts) for error, restarts in crashes] == [("factory", 0), ("started", 1)]


async def test_living_name_is_taken():
    """Two living siblings never share a name; a dead one's is free."""
    async with System.open() as system:
        first = await system.spawn(ChildSpec("twin", Diary))
        with pytest.raises(ValueError, match="twin"):
            await system.spawn(ChildSpec("twin", Diary))
        await system.stop_child(first)
        second = await system.spawn(ChildSpec("twin", Diary))
        assert (first.is_alive, second.is_alive) == (False, True)


async def test_crash_stops_the_household_first():
    """Children and duties of the crashed object end before the next one starts, the youngest first."""
    clock, book = FakeClock(), Book()

    class Parent(Guest):
        async def started(self):
            await super().started()
            self.context.start_duty("duty", self.serve)
            for name in ("elder", "younger"):
                await self.context.spawn(ChildSpec(name, lambda: Guest(book)))

        async def serve(self):
            try:
                await asyncio.Event().wait()
            finally:
                book.add("duty ended")

    async with run_actor(lambda: Parent(book), clock=clock) as stage:
        await settle()
        stage.tell(Boom())
        await clock.advance(1.0)
        assert book.lines == [
            ("started", "actor"),
            ("started", "elder"),
            ("started", "younger"),
            "duty ended",
            ("stopped", "younger"),
            ("stopped", "elder"),
            ("started", "actor"),
            ("started", "elder"),
            ("started", "younger"),
        ]


async def test_crash_of_a_duty_is_the_actors_crash():
    """It counts when the message at hand is done, and mail waits for the next life."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:

        async def fail():
            raise BoomError("duty")

        async def begin(actor):
            actor.context.start_duty("doomed", fail)
            actor.context.ref.tell("waits")
            await settle()
            actor.notes.append("still here")
            return list(actor.notes)

        assert await stage.ask(lambda reply: Do(begin, reply)) == ["still here"]
        await settle()
        assert [str(crash.error) for crash in stage.crashes] == ["duty"]
        await clock.advance(1.0)
        assert await stage.ask(Get) == ["waits"]


async def test_duty_that_ends_leaves_room_for_another():
    """A duty may simply finish; while it runs its name is taken."""
    async with run_actor(Diary) as stage:
        gate = asyncio.Event()

        async def begin(actor):
            actor.context.start_duty("one", gate.wait)
            with pytest.raises(ValueError, match="one"):
                actor.context.start_duty("one", gate.wait)
            gate.set()
            await settle()
            actor.context.start_duty("one", gate.wait)

        await stage.ask(lambda reply: Do(begin, reply))
        assert stage.crashes == []


async def test_cancelled_error_out_of_nowhere_is_a_crash():
    """Awaiting something that was cancelled must not end the actor without a word."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:

        async def await_cancelled(_):
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        stage.tell(Do(await_cancelled))

        async def as_duty(actor):
            actor.context.start_duty("stray", lambda: await_cancelled(actor))

        await clock.advance(1.0)
        stage.tell(Do(as_duty))
        await clock.advance(2.0)
        assert [type(crash.error) for crash in stage.crashes] == [StrayCancellationError] * 2
        assert await stage.ask(Get) == []


async def test_neighbours_notice_nothing():
    """One child's crash restarts that child only."""
    clock = FakeClock()
    async with open_system(clock=clock, on_crash=silent) as system:
        refs = [await system.spawn(ChildSpec(f"child:{number}", Diary)) for number in range(5)]
        for ref in refs:
            ref.tell("before")
        await settle()
        refs[2].tell(Boom())
        await clock.advance(1.0)
        assert [view.restarts for view in system.tree().children] == [0, 0, 1, 0, 0]
        assert [len(await ref.ask(Get, within_s=1.0)) for ref in refs] == [1, 1, 0, 1, 1]


async def test_old_life_cannot_reach_the_next():
    """Timers, watches and duties of a crashed object are gone, and its context starts nothing more."""
    clock, contexts = FakeClock(), []

    class Keeper(Diary):
        async def started(self):
            contexts.append(self.context)

    async with run_actor(Keeper, clock=clock) as stage:
        probe = await stage.probe()

        async def tie(actor):
            actor.context.start_timer("once", "rings", after_s=5.0)
            actor.context.start_interval("often", "beats", every_s=1.0)
            actor.context.watch(probe.ref)

        stage.tell(Do(tie))
        stage.tell(Boom())
        await clock.advance(1.0)
        await stage.system.stop_child(probe.ref)
        await clock.advance(10.0)
        assert await stage.ask(Get) == []
        with pytest.raises(ActorStopped):
            contexts[0].start_duty("late", asyncio.Event().wait)
        assert len(contexts) == 2


async def test_report_that_fails_stops_nobody(caplog):
    """Whatever goes wrong in telling of a crash is logged, and the actor restarts all the same."""
    clock = FakeClock()

    def broken(*_):
        raise OSError("no log")

    async with open_system(clock=clock, on_crash=broken) as system:
        ref = await system.spawn(ChildSpec("child", Diary))
        ref.tell(Boom())
        await clock.advance(1.0)
        assert await ref.ask(Get, within_s=1.0) == []
    assert "crash_unreported" in caplog.text


async def test_jitter_follows_from_the_seed():
    """The same seed gives the same pauses, another seed others."""

    async def second_start(seed):
        clock, starts = FakeClock(), []

        class Late(Diary):
            async def started(self):
                starts.append(clock.monotonic())

        async with run_actor(Late, clock=clock, seed=seed) as stage:
            stage.tell(Boom())
            await clock.advance(1.0)
        return starts[1]

    first, same, other = [await second_start(seed) for seed in (1, 1, 2)]
    assert first == same
    assert not math.isclose(first, other)
