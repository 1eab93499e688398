"""What the venue tells of an order makes everybody ask sooner, and nobody needs it."""

import anyio
import pytest

from botwarden.exchange.paper.fault_events import ConnectionFault, StreamFault
from botwarden.trading.decisions import Signal
from tests.actors.house import PATIENCE_S, House, is_settled
from tests.actors.test_protection import account_of, alive, kinds, protected, rests

pytestmark = pytest.mark.anyio

#: An order that was executed, and whose sender does not know.
EXECUTED = {"executes": "yes", "answer": "error", "code": -1007}


async def test_an_unknown_order_is_asked_about_as_soon_as_it_is_heard_of(house: House) -> None:
    """Though no moment passes on the clock, an executed order is settled: the venue told of it."""
    life = await house.begin()
    bot = await house.running(life)
    house.world.fault(**EXECUTED)
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1))
    assert state.in_position
    assert len(await house.venue_orders(life)) == 1
    await house.check_books(life)


async def test_an_answer_that_never_comes_is_not_waited_for(house: House) -> None:
    """Two seconds after the venue has told of an order its answer is given up, and the order asked about."""
    life = await house.begin(request_timeout_s=3600.0)
    bot = await house.running(life)
    silent = house.world.fault(name="silent", waits="after", held=True)
    life.signal(bot, Signal.BUY)
    await silent.reached("executed", 1)
    with anyio.fail_after(PATIENCE_S):
        while not is_settled(1)(await house.state(bot)):
            await house.world.clock.advance(0.1)
    assert silent.counts["done"] == 0
    assert (await house.state(bot)).in_position
    assert len(await house.venue_orders(life)) == 1
    house.world.venue.faults.clear("silent")
    await house.check_books(life)


async def test_a_list_that_has_ended_is_looked_at_at_once(house: House) -> None:
    """Though no moment passes on the clock, a list that others have cancelled is found missing."""
    life = await house.begin()
    bot = await protected(house, life)
    venue = house.world.venue
    venue.engine.cancel(account_of(house), alive(house)[0], venue.clock.now_ms())
    await house.until(bot, lambda state: not rests(state))
    assert ("OCO", "cancelled") in await kinds(house, bot)


@pytest.mark.parametrize(
    "trouble",
    [
        ConnectionFault(on="/ws-api/v3", effect="closed", times=None),
        ConnectionFault(on="/ws-api/v3", effect="deaf", times=None),
        StreamFault(on="userData", effect="drop", times=None),
        StreamFault(on="userData", effect="closed", times=None),
    ],
    ids=["turned away", "deaf", "lost", "cut off"],
)
async def test_without_any_news_orders_are_settled_as_ever(
    house: House, trouble: ConnectionFault | StreamFault
) -> None:
    """Whatever becomes of the news, an order with a lost answer is found by asking, and made once."""
    house.world.venue.faults.add(trouble)
    life = await house.begin()
    bot = await house.running(life)
    house.world.fault(**EXECUTED)
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1), passing=True)
    assert state.in_position
    assert len(await house.venue_orders(life)) == 1
    await house.check_books(life)


async def test_doubled_news_settles_once(house: House) -> None:
    """News that comes twice, for an order that nobody waits for any more, changes nothing."""
    house.world.venue.faults.add(StreamFault(on="userData", effect="twice", times=None))
    life = await house.begin()
    bot = await house.holding(life)
    life.signal(bot, Signal.SELL)
    state = await house.until(bot, is_settled(2), passing=True)
    assert (state.in_position, state.daily_trades_count) == (False, 2)
    await house.check_books(life)
