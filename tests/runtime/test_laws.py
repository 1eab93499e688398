"""The kernel's laws, held by random trees of random actors under a fake clock.

Each program builds a tree, tells, crashes, stalls, stops and lets time pass in an order that hypothesis
chooses, and then shuts everything down, whatever state it is in.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botwarden.runtime import Actor, Backoff, ChildSpec, InboxSpec, Intensity, Next, Ref, Restart, System
from botwarden.runtime.testing import FakeClock, open_system, settle
from tests.runtime.cast import BoomError, own_tasks, silent

pytestmark = pytest.mark.anyio

SENDERS = 3
SEATS = 5
CAPACITY = 8


@dataclass(frozen=True, slots=True)
class Note:
    """The `number`-th message of one sender to one actor; `then` is what the actor does about it."""

    sender: int
    number: int
    then: str


class Worker(Actor[Note]):
    """Does what the notes say, and has children who do the same."""

    def __init__(self, world: "World", seat: int, children: int) -> None:
        self.world = world
        self.seat = seat
        self.children = children

    async def started(self) -> None:
        self.world.lives[self.seat] += 1
        if self.world.bad_starts and self.world.lives[self.seat] % 3 == 2:
            raise BoomError("a bad start")
        for number in range(self.children):
            await self.context.spawn(
                ChildSpec(f"child:{number}", lambda: Worker(self.world, SEATS, 0), stop_within_s=1.0)
            )

    async def receive(self, note: Note, /) -> Next:
        self.world.enter(self.seat)
        try:
            self.world.seen[self.seat].append((note.sender, note.number))
            match note.then:
                case "crash":
                    raise BoomError("as told")
                case "stop":
                    return Next.STOP
                case "stall":
                    await asyncio.Event().wait()
                case "sleep":
                    await self.context.clock.sleep(0.5)
                case "yield":
                    await asyncio.sleep(0)
                case "duty":
                    self.context.start_duty(f"duty:{note.sender}:{note.number}", self.serve)
                case "timer":
                    self.context.start_interval("beat", Note(-1, note.number, "nothing"), every_s=0.3)
        finally:
            self.world.leave(self.seat)
        return Next.CONTINUE

    async def stopped(self) -> None:
        await self.context.clock.sleep(0.1)
        self.world.goodbyes[self.seat] += 1

    async def serve(self) -> None:
        await self.context.clock.sleep(2.0)
        raise BoomError("a duty ended badly")


class World:
    """What all workers of one program wrote."""

    def __init__(self, *, bad_starts: bool) -> None:
        self.bad_starts = bad_starts
        self.seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.lives: dict[int, int] = defaultdict(int)
        self.goodbyes: dict[int, int] = defaultdict(int)
        self.inside: set[int] = set()

    def enter(self, seat: int) -> None:
        assert seat == SEATS or seat not in self.inside, "two messages at once"
        self.inside.add(seat)

    def leave(self, seat: int) -> None:
        self.inside.discard(seat)


class Program:
    """A system that obeys the steps, and checks the laws as it goes."""

    def __init__(self, world: World, clock: FakeClock, system: System, refs: list[Ref[Note]]) -> None:
        self.world = world
        self.clock = clock
        self.system = system
        self.refs = refs
        self.accepted: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.stalled: set[int] = set()
        self.stops: dict[int, asyncio.Future[None]] = {}

    async def run(self, number: int, step: tuple) -> None:
        match step:
            case ("tell", seat, sender, then):
                self.tell(seat, Note(sender, number, then))
            case ("wait", seconds):
                await self.clock.advance(seconds)
            case ("stop", seat):
                self.stops[seat] = asyncio.ensure_future(self.system.stop_child(self.refs[seat]))
                await settle()
                assert not self.refs[seat].is_alive

    def tell(self, seat: int, note: Note) -> None:
        is_full = any(view.depth >= CAPACITY for view in self.system.tree().children)
        is_taken = self.refs[seat].tell(note)
        assert not (is_taken and seat in self.stops), "a stop is final"
        assert is_taken or is_full or not self.refs[seat].is_alive, "only the full and the dead refuse"
        if is_taken:
            self.accepted[seat].append((note.sender, note.number))
            if note.then == "stall":
                self.stalled.add(seat)

    def check(self) -> None:
        assert all(stop.done() and stop.exception() is None for stop in self.stops.values()), "stops end"
        for seat, ref in enumerate(self.refs):
            seen = [note for note in self.world.seen[seat] if note[0] >= 0]
            assert seen == self.accepted[seat][: len(seen)], "in order, once each"
            if ref.is_alive and seat not in self.stalled:
                assert seen == self.accepted[seat], "nothing accepted is lost"
            assert self.world.goodbyes[seat] <= self.world.lives[seat]


steps = st.one_of(
    st.tuples(
        st.just("tell"),
        st.integers(0, SEATS - 1),
        st.integers(0, SENDERS - 1),
        st.sampled_from(["nothing"] * 4 + ["crash", "stop", "stall", "sleep", "yield", "duty", "timer"]),
    ),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 1.0, 10.0])),
    st.tuples(st.just("stop"), st.integers(0, SEATS - 1)),
)


@settings(max_examples=120, deadline=None)
@given(
    program=st.lists(steps, max_size=40),
    restart=st.sampled_from(Restart),
    children=st.integers(0, 2),
    bad_starts=st.booleans(),
)
async def test_laws(program, restart, children, bad_starts):
    """Order is kept, nothing accepted is lost, stops are final, a shutdown ends and leaves no task."""
    before = own_tasks()
    clock, world = FakeClock(), World(bad_starts=bad_starts)

    def spec(seat):
        return ChildSpec(
            f"worker:{seat}",
            lambda: Worker(world, seat, children),
            restart=restart,
            intensity=Intensity(restarts=10_000, within_s=1.0),
            stop_within_s=3.0,
            inbox=InboxSpec(capacity=CAPACITY),
            wait=False,
        )

    async with open_system(clock=clock, on_crash=silent) as system:
        run = Program(world, clock, system, [await system.spawn(spec(seat)) for seat in range(SEATS)])
        for number, step in enumerate(program):
            await run.run(number, step)
        await clock.advance(120.0)
        run.check()
    assert not any(ref.is_alive for ref in run.refs)
    assert not world.inside
    assert own_tasks() <= before


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.0, 30.0), max_size=25),
    st.integers(0, 4),
    st.floats(5.0, 60.0),
    st.floats(0.1, 2.0),
)
async def test_no_child_is_restarted_more_often_than_its_intensity(gaps, restarts, within_s, first_s):
    """However crashes are spread: at most so many restarts in any window; one more crash ends it."""
    clock, crashed, given_up = FakeClock(), [], []

    class Parent(Actor[str]):
        async def started(self):
            self.child = await self.context.spawn(
                ChildSpec(
                    "child", Child, intensity=Intensity(restarts, within_s), backoff=Backoff(first_s, 5.0)
                )
            )

        async def receive(self, message, /):
            self.child.tell(message)

        async def child_gave_up(self, failure):
            given_up.append(failure.restarts)

    class Child(Actor[str]):
        async def receive(self, _message, /):
            crashed.append(clock.monotonic())
            raise BoomError

    async with open_system(clock=clock, on_crash=silent) as system:
        parent = await system.spawn(ChildSpec("parent", Parent))
        for gap in gaps:
            parent.tell("crash")
            await clock.advance(gap)
        await clock.advance(300.0)
    for first in crashed:
        assert sum(1 for at in crashed if first <= at < first + within_s) <= restarts + 1
    if given_up:
        assert given_up == [len(crashed) - 1]
        assert sum(1 for at in crashed[:-1] if crashed[-1] - at < within_s) >= restarts
    else:
        assert len(crashed) == len(gaps)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=60))
async def test_senders_keep_their_own_order(schedule):
    """Messages of several tasks to one actor may mix, but each task's own stay in order."""
    seen: list[tuple[int, int]] = []

    class Listener(Actor[tuple[int, int]]):
        async def receive(self, message, /):
            seen.append(message)
            await asyncio.sleep(0)

    async with open_system() as system:
        ref = await system.spawn(ChildSpec("listener", Listener))

        async def send(sender):
            for number, (who, pauses) in enumerate(schedule):
                if who == sender:
                    assert ref.tell((sender, number))
                    if pauses:
                        await asyncio.sleep(0)

        async with asyncio.TaskGroup() as senders:
            for sender in range(4):
                senders.create_task(send(sender))
        await settle()
    assert len(seen) == len(schedule)
    for sender in range(4):
        own = [number for who, number in seen if who == sender]
        assert own == sorted(own)
