"""The tree as a whole: its picture, its chance, and the stage for tests."""

import msgspec
import pytest

from botwarden.runtime import ActorView, ChildSpec, Restart, System
from botwarden.runtime.testing import FakeClock, open_system, run_actor, settle
from tests.runtime.cast import Boom, Diary, Do, Get, Leave, silent

pytestmark = pytest.mark.anyio


async def test_tree_is_plain_data():
    """The picture goes through JSON unchanged."""
    clock = FakeClock()

    class Parent(Diary):
        async def started(self):
            await self.context.spawn(ChildSpec("child", Diary))

    async with open_system("root", clock=clock, on_crash=silent) as system:
        ref = await system.spawn(ChildSpec("parent", Parent))
        for message in ("a", "b", Boom("why")):
            ref.tell(message)
        await clock.advance(1.0)
        ref.tell("waits")
        tree = system.tree()
        child = ActorView(
            name="child",
            state="running",
            alive=True,
            depth=0,
            handled=0,
            restarts=0,
            last_failure=None,
            children=(),
        )
        parent = ActorView(
            name="parent",
            state="running",
            alive=True,
            depth=1,
            handled=3,
            restarts=1,
            last_failure="BoomError: why",
            children=(child,),
        )
        assert (tree.name, tree.children) == ("root", (parent,))
        assert msgspec.json.decode(msgspec.json.encode(tree), type=ActorView) == tree


async def test_chance_follows_from_seed_and_name():
    """Two runs with one seed draw the same; siblings and other seeds draw differently."""

    async def draw(actor):
        return actor.context.random.random()

    async def draws(seed):
        async with System.open(seed=seed) as system:
            refs = [await system.spawn(ChildSpec(name, Diary)) for name in ("a", "b")]
            return [await ref.ask(lambda reply: Do(draw, reply), within_s=1.0) for ref in refs]

    first, same, other = await draws(1), await draws(1), await draws(2)
    assert first == same
    assert len({*first, *other}) == 4


async def test_system_without_a_seed_can_be_repeated():
    """The seed that was drawn is shown."""
    async with System.open() as system, System.open() as other:
        assert system.seed != other.seed


async def test_actor_knows_itself():
    """Name, address and clock are there before the first message."""
    known = []

    class Curious(Diary):
        async def started(self):
            known.append((self.context.name, self.context.ref, self.context.clock))

    async with run_actor(Curious) as stage:
        assert known == [("actor", stage.ref, stage.clock)]


async def test_has_child_tells_whose_name_is_taken():
    """From the spawn to the end of the stop."""
    async with run_actor(Diary) as stage:

        async def look(actor):
            before = actor.context.has_child("child")
            ref = await actor.context.spawn(ChildSpec("child", Diary))
            during = actor.context.has_child("child")
            await actor.context.stop_child(ref)
            return before, during, actor.context.has_child("child")

        assert await stage.ask(lambda reply: Do(look, reply)) == (False, True, False)


async def test_unwatched_child_that_leaves_is_forgotten():
    """A parent of many short-lived children does not grow."""
    async with open_system() as system:
        for number in range(100):
            ref = await system.spawn(ChildSpec(f"{number}", Diary, restart=Restart.TRANSIENT))
            ref.tell(Leave())
        await settle()
        assert system.tree().children == ()


async def test_probe_writes_down_what_it_hears():
    """A stage's probe stands in for whomever the actor talks to."""
    async with run_actor(Diary) as stage:
        probe = await stage.probe()

        async def talk(_):
            probe.ref.tell("one")
            probe.ref.tell("two")

        stage.tell(Do(talk))
        assert [await probe.next(), await probe.next()] == ["one", "two"]
        assert probe.received == ["one", "two"]


async def test_stage_stops_its_actor_without_real_time():
    """Deadlines pass at once under the fake clock."""
    async with run_actor(Diary) as stage:
        stage.tell(Do(lambda actor: actor.context.clock.sleep(3600.0)))
        await settle()
        await stage.stop()
        assert not stage.ref.is_alive


async def test_system_may_be_stopped_twice():
    """The second stop waits for the same end."""
    async with open_system() as system:
        ref = await system.spawn(ChildSpec("child", Diary))
        ref.tell("note")
        assert await ref.ask(Get, within_s=1.0) == ["note"]
        await system.stop()
        await system.stop()
        assert system.tree().state == "stopped"
