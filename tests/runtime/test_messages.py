"""Tells and asks."""

import asyncio
import contextvars

import anyio
import pytest

from botwarden.runtime import ActorStopped, AskTimeout, ChildSpec, InboxFull, InboxSpec, Reply, Restart
from botwarden.runtime.crew import KEEP
from botwarden.runtime.life import SLICE
from botwarden.runtime.testing import FakeClock, run_actor, settle
from tests.runtime.cast import Book, Boom, Diary, Do, Get, Leave, own_tasks

pytestmark = pytest.mark.anyio


async def test_tells_arrive_in_order():
    """What one sender tells arrives in the order of the telling."""
    async with run_actor(Diary) as stage:
        assert all(stage.tell(number) for number in range(900))
        assert await stage.ask(Get) == list(range(900))


async def test_one_message_at_a_time():
    """A message is not begun while the one before waits for something."""
    async with run_actor(Diary) as stage:
        gate = asyncio.Event()
        stage.tell(Do(lambda _: gate.wait()))
        stage.tell("after")
        answer = asyncio.ensure_future(stage.ask(Get))
        await settle()
        assert not answer.done()
        gate.set()
        assert await answer == ["after"]


async def test_idle_actor_owns_no_task():
    """Tasks exist while there is mail, and not afterwards."""
    async with run_actor(Diary) as stage:
        before = own_tasks()
        gate = asyncio.Event()
        stage.tell(Do(lambda _: gate.wait()))
        await settle()
        assert any(task.get_name() == "actor" for task in own_tasks())
        gate.set()
        await settle()
        assert not any(task.get_name() == "actor" for task in own_tasks())
        assert len(own_tasks()) <= len(before) + 1


async def test_busy_actor_lets_others_go_first():
    """An actor with much mail goes to the back of the queue after each slice."""
    async with run_actor(Diary) as stage:
        book = Book()
        other = await stage.system.spawn(ChildSpec("other", lambda: Diary(book)))
        for number in range(SLICE * 10):
            stage.tell(number)

        async def look(_):
            return next(view.depth for view in stage.system.tree().children if view.name == "actor")

        assert await other.ask(lambda reply: Do(look, reply), within_s=1.0) == SLICE * 9


async def test_busy_actors_let_the_loop_turn():
    """Actors that always have mail for each other never hold up what else runs on the loop."""

    class Chatterbox(Diary):
        async def receive(self, message, /):
            self.context.ref.tell(message)

    async with run_actor(Chatterbox) as stage:
        stage.tell("for ever")
        for _ in range(10):
            await asyncio.sleep(0)


async def test_actors_that_wait_do_not_hold_up_others():
    """However many actors wait inside `receive`, the next one is served at once."""
    others = own_tasks()
    async with run_actor(Diary) as stage:
        gate = asyncio.Event()
        refs = [await stage.system.spawn(ChildSpec(f"{number}", Diary)) for number in range(2000)]
        for ref in refs:
            ref.tell(Do(lambda _: gate.wait()))
        assert await stage.ask(Get) == []
        turns = 0
        while sum(view.handled for view in stage.system.tree().children) < 2001:
            turns += 1
            await asyncio.sleep(0)
        assert turns < 40
        assert len(own_tasks()) > 2000
        gate.set()
        await settle()
        assert len(own_tasks() - others) <= KEEP + 1


async def test_full_inbox_refuses():
    """Beyond its capacity an inbox takes no tells and no asks."""
    async with run_actor(Diary, inbox=InboxSpec(capacity=2)) as stage:
        assert [stage.tell(number) for number in range(3)] == [True, True, False]
        with pytest.raises(InboxFull):
            await stage.ask(Get)
        await settle()
        assert await stage.ask(Get) == [0, 1]


async def test_conflated_messages_keep_the_newest():
    """A slow actor finds the newest of each key."""
    inbox = InboxSpec(newest_per=lambda message: message[0] if isinstance(message, tuple) else None)
    async with run_actor(Diary, inbox=inbox) as stage:
        for message in (("a", 1), "x", ("b", 1), ("a", 2), "x"):
            assert stage.tell(message)
        assert await stage.ask(Get) == [("a", 2), "x", ("b", 1), "x"]


async def test_questions_are_never_conflated():
    """Each question gets its answer, also where their messages share a key."""
    async with run_actor(Diary, inbox=InboxSpec(newest_per=type)) as stage:
        stage.tell("note")
        answers = await asyncio.gather(*[stage.ask(Get) for _ in range(3)])
        assert answers == [["note"]] * 3


async def test_ask_times_out_on_the_given_clock():
    """Without an answer the asker is told when its time is up, and not before."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        question = asyncio.ensure_future(stage.ref.ask(lambda _: "no question", within_s=5.0))
        await clock.advance(4.9)
        assert not question.done()
        await clock.advance(0.1)
        with pytest.raises(AskTimeout, match="5"):
            await question


async def test_late_answer_is_ignored():
    """Only the first outcome of a question counts."""
    replies: list[Reply[int]] = []
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        question = asyncio.ensure_future(stage.ref.ask(lambda r: replies.append(r) or "keep", within_s=1.0))
        await clock.advance(1.0)
        replies[0].send(1)
        replies[0].fail(ValueError())
        with pytest.raises(AskTimeout):
            await question


async def test_failed_reply_raises_at_the_asker():
    """`Reply.fail` is an answer too."""

    async def refuse(_):
        raise AssertionError

    async with run_actor(Diary) as stage:

        def make(reply):
            async def work(_):
                reply.fail(LookupError("not here"))

            return Do(work)

        with pytest.raises(LookupError, match="not here"):
            await stage.ask(make)
        assert stage.crashes == []


async def test_crash_on_a_question_fails_it_at_once():
    """The asker need not wait for its time to run out."""
    async with run_actor(Diary) as stage:

        def make(reply):
            async def work(_):
                raise LookupError("my fault")

            return Do(work, reply)

        with pytest.raises(ActorStopped) as caught:
            await stage.ask(make)
        assert isinstance(caught.value.__cause__, LookupError)


async def test_crash_fails_questions_that_were_put_off():
    """A reply kept for later dies with the object that kept it."""
    async with run_actor(Diary) as stage:
        question = asyncio.ensure_future(stage.ask(lambda reply: ("kept", reply)))
        await settle()
        stage.tell(Boom())
        with pytest.raises(ActorStopped):
            await question


async def test_crash_fails_its_question_before_the_household_is_gone():
    """A child that takes its time to stop does not keep the asker waiting."""
    clock = FakeClock()

    class Slow(Diary):
        async def stopped(self):
            await clock.sleep(3.0)

    async def crash_with_a_child(actor):
        await actor.context.spawn(ChildSpec("slow", Slow))
        raise LookupError

    async with run_actor(Diary, clock=clock) as stage:
        with pytest.raises(ActorStopped):
            await stage.ask(lambda reply: Do(crash_with_a_child, reply))
        assert clock.monotonic() == 0.0


async def test_crash_keeps_questions_that_still_wait():
    """Mail behind the crash is answered by the next life."""
    clock = FakeClock()
    async with run_actor(Diary, clock=clock) as stage:
        stage.tell(Boom())
        question = asyncio.ensure_future(stage.ask(Get))
        await settle()
        assert not question.done()
        await clock.advance(1.0)
        assert await question == []


async def test_stop_fails_waiting_questions():
    """Nobody waits for an actor that is no more."""
    async with run_actor(Diary, restart=Restart.TRANSIENT) as stage:
        stage.tell(Leave())
        with pytest.raises(ActorStopped):
            await stage.ask(Get)
        with pytest.raises(ActorStopped):
            await stage.ask(Get)


async def test_own_question_is_refused():
    """An actor that asks itself would wait for ever."""
    async with run_actor(Diary) as stage:

        async def ask_myself(actor):
            return await actor.context.ref.ask(Get, within_s=1.0)

        stage.tell(Do(ask_myself))
        await settle()
        assert "asks itself" in str(stage.crashes[0].error)


async def test_timeouts_and_cancel_scopes_work_inside_receive():
    """Time-outs of asyncio and anyio end what they surround and nothing else."""
    async with run_actor(Diary) as stage:

        async def asyncio_timeout(_):
            try:
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "timed out"

        async def anyio_scope(_):
            with anyio.move_on_after(0) as scope:
                await asyncio.Event().wait()
            return scope.cancelled_caught

        async def group(_):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asyncio.Event().wait)
                tasks.cancel_scope.cancel()
            return "left"

        for work, result in ((asyncio_timeout, "timed out"), (anyio_scope, True), (group, "left")):
            for _ in range(3):
                assert await stage.ask(lambda reply, work=work: Do(work, reply)) == result
        assert stage.crashes == []


async def test_context_variables_stay_where_they_were_set():
    """An actor sees neither its sender's context variables nor those of its neighbours."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def look(_):
        return variable.get()

    async def put(_):
        variable.set("an actor's")

    async with run_actor(Diary) as stage:
        variable.set("the sender's")
        neighbour = await stage.system.spawn(stage_spec("neighbour"))
        stage.tell(Do(put))
        await settle()
        assert await stage.ask(lambda reply: Do(look, reply)) == "unset"
        assert await neighbour.ask(lambda reply: Do(look, reply), within_s=1.0) == "unset"


def stage_spec(name):
    """Return the specification of one more diary."""
    return ChildSpec(name, lambda: Diary(Book()))
