"""An order on its way, with a crash between every two steps: it happens once, or provably never."""

from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum

import pytest

from botwarden.trading.decisions import Signal
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, House, is_open, is_settled
from tests.actors.life import Life

pytestmark = pytest.mark.anyio


class AtVenue(StrEnum):
    """Places on the path of an order that lie behind the wire."""

    ARRIVED = "the request has arrived, and waits before the engine"
    EXECUTED = "the order is executed, and the answer waits"


Place = Step | AtVenue

#: Where the life ends, and what the order's status is once the next life has settled it.
CRASHES: dict[Place, str | None] = {
    Step.INTENT_WRITTEN: None,
    Step.INTENT_COMMITTED: "absent",
    Step.SENDING: "absent",
    AtVenue.ARRIVED: "filled",
    AtVenue.EXECUTED: "filled",
    Step.ANSWERED: "filled",
    Step.OUTCOME_WRITTEN: "filled",
    Step.OUTCOME_COMMITTED: "filled",
}


def held(house: House, life: Life, place: Place) -> Callable[[], Awaitable[None]]:
    """Hold the next order at this place; what is returned waits until it is there."""
    match place:
        case AtVenue.ARRIVED:
            fault = house.world.fault(name="arrived", held=True)
            return lambda: fault.reached("caught", 1)
        case AtVenue.EXECUTED:
            fault = house.world.fault(name="executed", held=True, waits="after")
            return lambda: fault.reached("executed", 1)
        case step:
            return life.doors.hold(step).meet


async def crashed_at(house: House, life: Life, place: Place, do: Callable[[], object]) -> Life:
    """End the life at this place of the order that `do` brings about; return the next life."""
    reached = held(house, life, place)
    do()
    await reached()
    await life.crash()
    asked = house.world.fault(on="GET order", times=None)
    following = await house.begin()
    if place is AtVenue.ARRIVED:
        await asked.reached("done", 1)  # In vain: only then does the engine get the order.
        house.world.venue.faults.clear("arrived")
    return following


def sent(*lives: Life) -> Counter[str]:
    """How often each order was handed to the adapter."""
    return Counter(order for life in lives for order in life.doors.placed)


@pytest.mark.parametrize(("place", "status"), CRASHES.items())
async def test_an_entry_survives_a_crash(house, place, status):
    """Wherever the process dies, an entry is settled as what it is at the venue, and then guarded."""
    life = await house.begin()
    bot = await house.running(life)
    following = await crashed_at(house, life, place, lambda: life.signal(bot, Signal.BUY))
    made = 0 if status is None else 1
    state = await house.until(bot, is_settled(made), passing=True)
    bought = status == "filled"
    assert [order.status for order in await house.orders(bot)] == [status][:made]
    assert len(await house.venue_orders(following)) == bought
    assert (state.in_position, state.daily_trades_count) == (bought, bought)
    await house.check_books(following)

    if not bought:
        await house.once(lambda: following.watches(bot))
        following.signal(bot, Signal.BUY)
        await house.until(bot, is_settled(made + 1))
    house.world.say(CRASHED_PRICE)
    state = await house.until(bot, lambda state: not state.in_position)
    assert state.daily_trades_count == 2
    assert len(await house.venue_orders(following)) == 2
    assert max(sent(life, following).values()) == 1
    await house.check_books(following)
    assert not life.crashes + following.crashes


@pytest.mark.parametrize(("place", "status"), CRASHES.items())
async def test_an_exit_survives_a_crash(house, place, status):
    """Wherever the process dies, a position that has met its stop is sold exactly once."""
    life = await house.begin()
    bot = await house.holding(life)
    following = await crashed_at(house, life, place, lambda: house.world.say(CRASHED_PRICE))
    state = await house.until(bot, lambda state: not state.in_position and not is_open(state), passing=True)
    exits = [order.status for order in (await house.orders(bot))[1:]]
    assert exits == (["absent", "filled"] if status == "absent" else ["filled"])
    assert state.daily_trades_count == 2
    assert [order.side for order in await house.venue_orders(following)] == ["BUY", "SELL"]
    assert max(sent(life, following).values()) == 1
    await house.check_books(following)
    assert not life.crashes + following.crashes
