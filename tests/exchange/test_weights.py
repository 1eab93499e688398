"""Nobody spends more than the venue allows, and exits come before everything else."""

from datetime import datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.exchange.errors import NoBudget
from botwarden.exchange.weights import SHARES, OrderCount, Priority, WeightBudget
from botwarden.runtime.testing import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def budget(clock: FakeClock) -> WeightBudget:
    return WeightBudget(clock, clock.now, limit_per_minute=100)


async def spend(budget: WeightBudget, weight: int, priority: Priority = Priority.EXIT) -> None:
    """Send one request and hear no header."""
    budget.settle(await budget.reserve(priority, weight, within_s=0), None)


async def to_next_minute(clock: FakeClock) -> None:
    """Let the venue's minute turn."""
    await clock.advance(60.0 - clock.now().timestamp() % 60.0 + 0.001)


@pytest.mark.parametrize("priority", list(Priority))
async def test_each_priority_has_its_share(budget: WeightBudget, priority: Priority) -> None:
    """A priority may fill the minute up to its share and not beyond."""
    await spend(budget, SHARES[priority], priority)
    with pytest.raises(NoBudget):
        await budget.reserve(priority, 1, within_s=0)


async def test_candles_leave_room_for_exits(budget: WeightBudget) -> None:
    """When candles have taken all they may, queries, entries and exits still go out."""
    await spend(budget, SHARES[Priority.CANDLES], Priority.CANDLES)
    for priority in (Priority.ENTRY, Priority.ORDER_QUERY, Priority.EXIT):
        await spend(budget, 5, priority)


async def test_venue_header_is_the_truth(budget: WeightBudget) -> None:
    """What other processes of this address have spent counts as well."""
    budget.settle(await budget.reserve(Priority.CANDLES, 1, within_s=0), 97)
    assert budget.used == 97
    with pytest.raises(NoBudget):
        await budget.reserve(Priority.ENTRY, 1, within_s=0)
    await spend(budget, 1)


async def test_headers_that_overtake_each_other(budget: WeightBudget) -> None:
    """An older answer that arrives later does not give weight back."""
    first = await budget.reserve(Priority.EXIT, 1, within_s=0)
    second = await budget.reserve(Priority.EXIT, 1, within_s=0)
    budget.settle(second, 50)
    budget.settle(first, 49)
    assert budget.used == 50


async def test_requests_in_flight_count(budget: WeightBudget) -> None:
    """What has been sent but not answered is spent already."""
    reservation = await budget.reserve(Priority.EXIT, 98, within_s=0)
    with pytest.raises(NoBudget):
        await budget.reserve(Priority.EXIT, 1, within_s=0)
    budget.settle(reservation, 0)
    await spend(budget, 1)


async def test_minute_turns(clock: FakeClock, budget: WeightBudget) -> None:
    """A new minute of the venue's clock begins empty, and an answer from the old one does not fill it."""
    old = await budget.reserve(Priority.EXIT, 98, within_s=0)
    await to_next_minute(clock)
    budget.settle(old, 98)
    assert budget.used == 0


async def test_waits_for_the_next_minute(clock: FakeClock, budget: WeightBudget) -> None:
    """Who has time waits for the turn of the minute and then goes."""
    await spend(budget, 98)
    done = anyio.Event()

    async def wait() -> None:
        await budget.reserve(Priority.EXIT, 1, within_s=120)
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await clock.advance(0.5)
        assert not done.is_set()
        for _ in range(61):
            await clock.advance(1.0)
        assert done.is_set()


async def test_exits_go_first(clock: FakeClock, budget: WeightBudget) -> None:
    """Weight that an exit waits for is not given to candles that would fit."""
    await spend(budget, 60, Priority.CANDLES)
    went: list[str] = []

    async def wait(name: str, priority: Priority, weight: int) -> None:
        await budget.reserve(priority, weight, within_s=120)
        went.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "exit", Priority.EXIT, 50)
        await clock.advance(0.001)
        group.start_soon(wait, "candles", Priority.CANDLES, 5)
        await clock.advance(0.001)
        assert went == []
        for _ in range(130):
            await clock.advance(1.0)
    assert went == ["exit", "candles"]


async def test_pause_stops_everybody(clock: FakeClock, budget: WeightBudget) -> None:
    """After a 429 or 418 nothing goes out, exits included, until the venue's time is over."""
    budget.pause_for(30)
    for priority in Priority:
        with pytest.raises(NoBudget):
            await budget.reserve(priority, 1, within_s=10)
    await clock.advance(30.001)
    await spend(budget, 1)


async def test_pause_is_told_to_others_once(clock: FakeClock) -> None:
    """Other processes of this address hear of a pause, but not of one they told us about."""
    told: list[datetime] = []
    budget = WeightBudget(clock, clock.now, on_pause=told.append)
    until = clock.now() + timedelta(seconds=30)
    budget.pause(until)
    budget.pause(until - timedelta(seconds=5))
    budget.pause(until + timedelta(seconds=5), heard_elsewhere=True)
    assert told == [until]
    with pytest.raises(NoBudget):
        await budget.reserve(Priority.EXIT, 1, within_s=31)


async def test_request_greater_than_the_share_goes_alone(budget: WeightBudget) -> None:
    """A request that never fits goes when nobody else has spent anything, rather than never."""
    await spend(budget, 80, Priority.CANDLES)
    with pytest.raises(NoBudget):
        await budget.reserve(Priority.CANDLES, 80, within_s=0)


@given(st.lists(st.tuples(st.sampled_from(list(Priority)), st.integers(1, 40)), max_size=60))
def test_no_mix_overspends(wanted: list[tuple[Priority, int]]) -> None:
    """Whatever is asked for within a minute, each priority stays within its share of the limit."""
    clock = FakeClock()
    budget = WeightBudget(clock, clock.now, limit_per_minute=100)

    async def run() -> None:
        for priority, weight in wanted:
            try:
                await budget.reserve(priority, weight, within_s=0)
            except NoBudget:
                continue
            assert budget.used <= SHARES[priority]

    anyio.run(run)


def test_orders_are_counted_by_window(clock: FakeClock) -> None:
    """A full window makes exits wait for its end, entries a little sooner; a new window is empty."""
    count = OrderCount(clock.now, {10: 50, 86_400: 1000})
    assert count.wait_s(Priority.EXIT) == 0
    count.note({"X-MBX-ORDER-COUNT-10S": "45", "X-MBX-ORDER-COUNT-1D": "45"})
    assert count.wait_s(Priority.EXIT) == 0
    assert 0 < count.wait_s(Priority.ENTRY) <= 10
    count.note({"x-mbx-order-count-10s": "50"})
    assert 0 < count.wait_s(Priority.EXIT) <= 10


@pytest.mark.parametrize("headers", [{"X-MBX-ORDER-COUNT-10S": "many"}, {"X-MBX-ORDER-COUNT-XX": "9"}, {}])
def test_strange_count_headers_are_ignored(clock: FakeClock, headers: dict[str, str]) -> None:
    """What cannot be read counts for nothing."""
    count = OrderCount(clock.now, {10: 5})
    count.note(headers)
    assert count.wait_s(Priority.ENTRY) == 0


async def test_order_windows_turn(clock: FakeClock) -> None:
    """What was counted in a window that is over holds nobody back."""
    count = OrderCount(clock.now, {10: 5})
    count.note({"X-MBX-ORDER-COUNT-10S": "5"})
    await clock.advance(10)
    assert count.wait_s(Priority.ENTRY) == 0
    count.pause(3)
    assert count.wait_s(Priority.EXIT) == pytest.approx(3)
