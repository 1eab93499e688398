"""The bots of a replica: none forgotten, none disturbed by another's crash, positions first."""

from decimal import Decimal

import pytest
from sqlalchemy import text

from botwarden.actors.bots import COMMIT_WITHIN_S, Take
from botwarden.actors.feed_mail import PriceTouched
from botwarden.actors.loading import read_rows
from botwarden.trading.bot import HaltedBy, Status
from botwarden.trading.decisions import Signal, StartRequested
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, House, is_open, is_settled
from tests.actors.life import Life

pytestmark = pytest.mark.anyio

#: No price: whoever computes with it crashes.
POISON = PriceTouched(price_quote=None)


def poison(life: Life, bot) -> None:
    """Let the bot's actor meet a bug."""
    assert life.bot(bot).tell(POISON)


async def test_a_bot_that_nobody_claimed_is_not_taken_up(house):
    """A bot that was created after its slot was taken is claimed before it runs, and never disappears."""
    life = await house.begin()
    bot = await house.add_bot()
    life.bots.tell(Take(slots=life.standing.slots))
    await house.pass_time(1.5)
    name = f"bot:{bot.config.id}"
    await house.once(lambda: life.actor(name))
    await house.obey(life, bot, StartRequested(at=house.world.clock.now()))
    await house.until(bot, lambda state: state.status == Status.RUNNING)
    assert (await house.state(bot)).term > 0
    assert life.actor(name).restarts == 0


async def test_a_crash_stays_small(house):
    """A bot that crashes is started again from its row; its neighbour trades on meanwhile."""
    life = await house.begin()
    bot, neighbour = await house.holding(life), await house.running(life)
    poison(life, bot)
    await house.once(lambda: life.crashes)
    assert life.actor(f"bot:{bot.config.id}").state == "resting"
    life.signal(neighbour, Signal.BUY)
    await house.until(neighbour, is_settled(1))
    house.world.say(CRASHED_PRICE)
    await house.until(neighbour, is_settled(2))
    assert not is_open(await house.state(bot))
    state = await house.until(bot, is_settled(2), passing=True)
    assert not state.in_position
    assert [crash.name for crash in life.crashes] == [f"bot:{bot.config.id}"]
    assert life.actor(f"bot:{neighbour.config.id}").restarts == 0
    await house.check_books(life)


async def test_a_crash_with_an_order_in_flight(house):
    """An actor that crashes while its order is at the venue books the answer in its next life."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    poison(life, bot)
    await house.once(lambda: life.crashes)
    stop.release()
    state = await house.until(bot, is_settled(1), passing=True)
    assert state.in_position
    assert len(life.doors.placed) == len(await house.venue_orders(life)) == 1
    await house.check_books(life)


async def crash_often(house: House, life: Life, bot, times: int = 6) -> None:
    """Let the bot crash so often within a minute; six times are too many."""
    for crash in range(1, times + 1):
        await house.once(lambda: life.actor(f"bot:{bot.config.id}").state == "running", passing=True)
        poison(life, bot)
        await house.once(lambda number=crash: len(life.crashes) == number, passing=True)


async def test_the_sixth_crash_is_one_too_many(house):
    """More than five crashes within a minute quarantine a bot: its guard works on, its strategy not."""
    life = await house.begin()
    bot = await house.holding(life)
    flat = await house.running(life)
    await crash_often(house, life, bot)
    state = await house.until(bot, lambda state: state.status == Status.ERROR_CRASHED, passing=True)
    assert (state.halted_by, state.is_active) == (HaltedBy.SYSTEM, True)
    await house.once(lambda: life.watches(bot)[-1].signal is None)
    assert life.watches(bot)[-1].thresholds.sell_at_or_below is not None
    life.signal(bot, Signal.SELL)
    house.world.say(CRASHED_PRICE)
    state = await house.until(bot, is_settled(2), passing=True)
    assert [order.reason for order in await house.orders(bot)] == ["signal", "stop_loss"]
    assert (state.in_position, state.status) == (False, Status.ERROR_CRASHED)
    life.signal(bot, Signal.BUY)
    await house.pass_time(1)
    assert (await house.state(bot)).orders_made == 2
    assert (await house.state(flat)).status == Status.RUNNING
    await house.check_books(life)


async def test_its_owner_lifts_the_quarantine(house):
    """A start lifts the quarantine, and the strategy is heard again."""
    life = await house.begin()
    bot = await house.running(life)
    await crash_often(house, life, bot)
    await house.until(bot, lambda state: state.status == Status.ERROR_CRASHED, passing=True)
    await house.obey(life, bot, StartRequested(at=house.world.clock.now()))
    await house.until(bot, lambda state: state.status == Status.RUNNING, passing=True)
    assert life.watches(bot)[-1].signal is not None
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_settled(1), passing=True)


async def test_positions_are_watched_first(house):
    """After a restart the stops of positions are armed before any other bot asks for prices."""
    life = await house.begin()
    flat = [await house.running(life), await house.running(life)]
    holding = await house.holding(life)
    in_flight = await house.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(in_flight, Signal.BUY)
    await stop.meet()
    stops = (await house.state(holding)).stop_loss_price
    await life.crash()
    following = await house.begin()
    await house.until(in_flight, is_settled(1))
    await house.once(lambda: all(following.watches(bot) for bot in flat))
    order = list(dict.fromkeys(watch.bot_id for watch in following.asked))
    assert order[:2] == [holding.config.id, in_flight.config.id]
    first = following.watches(holding)[0]
    assert first.thresholds.sell_at_or_below == stops == Decimal(stops)
    assert following.watches(in_flight)[-1].thresholds.sell_at_or_below is not None


async def test_a_locked_row_holds_nobody_up(house):
    """While somebody holds a new bot's row its neighbours are taken up, and it is afterwards."""
    life = await house.begin()
    locked, free = await house.add_bot(), await house.add_bot()
    async with house.database.begin() as tx:
        await tx.execute(
            text("SELECT FROM bot_states WHERE bot_id = :id FOR UPDATE"), {"id": locked.config.id}
        )
        await house.once(lambda: life.actor(f"bot:{free.config.id}"), passing=True)
        assert life.actor(f"bot:{locked.config.id}") is None
    await house.once(lambda: life.actor(f"bot:{locked.config.id}"), passing=True)
    assert life.crashes == []


async def test_a_quarantine_that_nobody_answers_holds_nobody_up(house):
    """While the quarantine's commit hangs others are taken up; the bot waits, and is quarantined later."""
    life = await house.begin()
    bot = await house.running(life)
    await crash_often(house, life, bot, times=5)
    await house.once(lambda: life.actor(f"bot:{bot.config.id}").state == "running", passing=True)
    # Whoever is taken up amid its work is evaluated at once: the next commit is the quarantine's.
    await house.until(bot, lambda state: state.status == Status.WAITING_NO_SIGNAL, passing=True)
    stop = life.doors.hold(Step.DECIDED)
    poison(life, bot)
    await stop.meet()
    other = await house.add_bot()
    await house.once(lambda: life.actor(f"bot:{other.config.id}"), passing=True)
    await house.pass_time(COMMIT_WITHIN_S + 2)
    assert life.actor(f"bot:{bot.config.id}") is None
    stop.release()
    await house.until(bot, lambda state: state.status == Status.ERROR_CRASHED, passing=True)
    await house.once(lambda: life.actor(f"bot:{bot.config.id}"), passing=True)
    assert {crash.name for crash in life.crashes} == {f"bot:{bot.config.id}"}


async def grow_old(house: House, bot) -> None:
    """Let the bot's last change be long ago."""
    async with house.database.begin() as tx:
        await tx.execute(text("ALTER TABLE bot_states DISABLE TRIGGER USER"))
        await tx.execute(
            text("UPDATE bot_states SET last_updated_at = now() - interval '40 s' WHERE bot_id = :id"),
            {"id": bot.config.id},
        )
        await tx.execute(text("ALTER TABLE bot_states ENABLE TRIGGER USER"))


async def test_a_sweep_looks_back_to_the_last_one(house):
    """What was written while nobody could sweep, and long before anybody can again, is seen."""
    life = await house.begin()
    bot = await house.add_bot()
    await house.once(lambda: life.actor(f"bot:{bot.config.id}"), passing=True)
    await house.write(bot, StartRequested(at=house.world.clock.now()))
    await grow_old(house, bot)
    async with house.database.begin() as tx:
        await tx.execute(text("LOCK TABLE slots IN ACCESS EXCLUSIVE MODE"))
        for _ in range(60):
            await house.world.clock.advance(1)
            await tx.execute(text("SELECT 1"))
    await house.until(bot, lambda state: state.status == Status.RUNNING, passing=True)


async def test_word_of_a_stranger_takes_it_up(house):
    """A bot of ours that does not run is taken up when word of it comes, however old its row is."""
    life = await house.begin()
    bot = await house.add_bot()
    async with house.database.begin() as tx:
        await tx.execute(text("UPDATE bot_states SET term = 1"))
    await grow_old(house, bot)
    life.wake(bot.config.id)
    await house.once(lambda: life.actor(f"bot:{bot.config.id}"))


async def test_a_stale_owner_whose_bot_restarts_holds_it_no_more(house):
    """A bot's actor that crashes after the bot was taken over does not adopt the term of its new owner."""
    old = await house.begin()
    bot = await house.holding(old)
    term = (await house.state(bot)).term
    await house.lose(old)
    new = await house.begin()
    await house.once(lambda: new.watches(bot))
    taken = await house.state(bot)
    assert taken.term > term
    poison(old, bot)
    await house.once(lambda: old.crashes)
    await house.once(lambda: old.actor(f"bot:{bot.config.id}") is None, passing=True)
    assert await house.state(bot) == taken
    assert new.actor(f"bot:{bot.config.id}") is not None


async def test_bots_of_others_are_not_taken_up_by_their_ids(house):
    """Between the sweep that saw a bot move and the reading of its row, another replica may have taken it."""
    life = await house.begin()
    bot = await house.running(life)
    me = life.standing.replica_id
    assert [row.config.id for row in await read_rows(house.database, [bot.config.id], holder=me)] == [
        bot.config.id
    ]
    await house.lose(life)
    other = await house.begin()
    await house.once(lambda: other.watches(bot))
    assert await read_rows(house.database, [bot.config.id], holder=me) == []
