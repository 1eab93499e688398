"""Reads that are shared, but never older than the call."""

import anyio
import pytest

from botwarden.errors import Unavailable
from botwarden.http.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


class Source:
    """Something that takes as long as the test wants, and counts its reads."""

    def __init__(self) -> None:
        self.reads = 0
        self.may_end = anyio.Event()
        self.fails = False

    async def read(self, key: str) -> tuple[str, int]:
        self.reads += 1
        mine = self.reads
        await self.may_end.wait()
        if self.fails:
            raise Unavailable("away")
        return key, mine


async def test_callers_at_the_same_time_share_a_read_that_began_after_them():
    """A hundred callers during a read cost one more read, which began after all of them came."""
    source = Source()
    flights = SingleFlight(source.read)
    results: list[tuple[str, int]] = []

    async def call() -> None:
        results.append(await flights.read("a"))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        for _ in range(100):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        source.may_end.set()

    assert results == [("a", 1)] + [("a", 2)] * 100
    assert source.reads == 2
    assert flights._flights == {}


async def test_keys_do_not_wait_for_each_other():
    """A read of one key does not hold up another's."""
    source = Source()
    flights = SingleFlight(source.read)
    async with anyio.create_task_group() as group:
        group.start_soon(flights.read, "a")
        group.start_soon(flights.read, "b")
        await anyio.wait_all_tasks_blocked()
        assert source.reads == 2
        source.may_end.set()


async def test_failure_is_shared_and_not_kept():
    """All who shared a failed read are told; the next caller reads again."""
    source = Source()
    source.fails = True
    flights = SingleFlight(source.read)
    failures: list[str] = []

    async def call() -> None:
        with pytest.raises(Unavailable) as caught:
            await flights.read("a")
        failures.append(str(caught.value))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        source.may_end.set()
    assert failures == ["away"] * 10
    assert source.reads <= 2

    source.fails = False
    assert (await flights.read("a"))[0] == "a"


async def test_cancelled_reader_hands_over_to_the_next():
    """A client that leaves during its read does not take the others' answer with it."""
    source = Source()
    flights = SingleFlight(source.read)
    results: list[tuple[str, int]] = []

    async def call() -> None:
        results.append(await flights.read("a"))

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(flights.read, "a")
                await anyio.wait_all_tasks_blocked()
                group.start_soon(call)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        await anyio.wait_all_tasks_blocked()
        source.may_end.set()

    assert results == [("a", 2)]
