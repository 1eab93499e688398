"""An order that was given up and turns up later is found, booked once, and guarded from then on."""

from typing import Any

import pytest
from sqlalchemy import text

from botwarden.actors.reconciler import FIRST_ROUND_AFTER_S, ROUND_EVERY_S, ReconcilerActor
from botwarden.exchange.paper.faults import ReadLag
from botwarden.persistence.bots import Bot
from botwarden.runtime import ChildSpec
from botwarden.trading.bot import BotState, Status
from botwarden.trading.decisions import CloseRequested, Signal, StopRequested
from tests.actors.house import CRASHED_PRICE, House, has_ended, is_settled
from tests.actors.life import Life
from tests.persistence.examples import rows

pytestmark = pytest.mark.anyio

PLACES = "POST orderList/oco"


async def reconcile(life: Life) -> None:
    """Let the life look for what was given up, as a whole replica does."""
    await life.stage.system.spawn(
        ChildSpec(
            "reconciler",
            lambda: ReconcilerActor(life.surroundings, life.colleagues.committer, life.bots, life.standing),
        )
    )


async def lie(house: House, on: str = "POST order", **wish: Any) -> None:
    """Let the venue execute the next order without a word, and know nothing of it from now on."""
    await house.world.admin.add_fault(ReadLag(name="lies"))
    house.world.fault(on=on, executes="yes", answer="closed", **wish)


def tell_the_truth(house: House) -> None:
    """Let the venue's reads show what there is."""
    house.world.venue.faults.clear("lies")


async def given_up(house: House, life: Life, bot: Bot, signal: Signal) -> None:
    """Let the bot's next order be executed and given up as absent."""
    made = (await house.state(bot)).orders_made
    await lie(house)
    life.signal(bot, signal)
    await house.until(bot, has_ended(made + 1), passing=True)
    assert (await house.orders(bot))[made].status == "absent"
    tell_the_truth(house)


async def found(house: House, bot: Bot) -> list[Any]:
    """Return what the audit trail says of late finds."""
    return list(
        await rows(
            house.database,
            "SELECT cause, message FROM bot_events"
            " WHERE bot_id = :bot AND kind = 'order.found_late' ORDER BY version",
            bot=bot.config.id,
        )
    )


def holds(state: BotState) -> bool:
    return state.in_position


async def test_an_entry_that_was_given_up_is_found_and_guarded(house):
    """A lost BUY becomes a position with its trade and its event; its stop is watched, and sells."""
    life = await house.begin()
    bot = await house.running(life)
    await given_up(house, life, bot, Signal.BUY)
    assert not (await house.state(bot)).in_position
    await reconcile(life)
    state = await house.until(bot, holds, passing=True)
    assert (state.daily_trades_count, state.status) == (1, Status.RUNNING)
    assert "was given up, and found at the exchange later" in state.last_error_message
    assert [order.status for order in await house.orders(bot)] == ["filled"]
    [event] = await found(house, bot)
    assert (event.cause, event.message) == ("supervisor", state.last_error_message)
    await house.check_books(life)
    await house.once(lambda: life.watches(bot)[-1].thresholds.sell_at_or_below is not None)
    house.world.say(CRASHED_PRICE)
    await house.until(bot, is_settled(2), passing=True)
    assert not (await house.state(bot)).in_position
    assert [order.side for order in await house.venue_orders(life)] == ["BUY", "SELL"]
    await house.check_books(life)


async def test_an_exit_that_was_given_up_is_found(house):
    """A lost SELL ends the position that the bot thought it still had, and sold again in vain meanwhile."""
    life = await house.begin()
    bot = await house.holding(life)
    await given_up(house, life, bot, Signal.SELL)
    assert (await house.state(bot)).in_position
    await reconcile(life)
    state = await house.until(bot, lambda state: not state.in_position, passing=True)
    assert (state.daily_trades_count, state.leaving) == (2, None)
    assert [order.side for order in await house.venue_orders(life)] == ["BUY", "SELL"]
    await house.check_books(life)


async def test_a_find_joins_the_position_that_was_bought_since(house):
    """A bot that bought again meanwhile holds both, and its books say so."""
    life = await house.begin()
    bot = await house.running(life)
    await given_up(house, life, bot, Signal.BUY)
    life.signal(bot, Signal.BUY)
    once = await house.until(bot, is_settled(2))
    await reconcile(life)
    both = await house.until(bot, lambda state: state.daily_trades_count == 2, passing=True)
    assert both.current_position_size_coins == 2 * once.current_position_size_coins
    await house.check_books(life)


async def test_a_stopped_bot_is_told_what_it_holds(house):
    """A find for a stopped bot is a position that nobody watches, and nothing is ordered."""
    life = await house.begin()
    bot = await house.running(life)
    await given_up(house, life, bot, Signal.BUY)
    await house.obey(life, bot, StopRequested(at=house.world.clock.now()))
    await reconcile(life)
    state = await house.until(bot, holds, passing=True)
    assert (state.status, state.unwatched_position) == (Status.STOPPED, True)
    assert (await house.state(bot)).orders_made == 1
    await house.check_books(life)


async def test_only_the_holder_of_a_bot_looks(house):
    """Who was taken for dead finds nothing to look for, and the new holder books the find once."""
    sleeper = await house.begin()
    bot = await house.running(sleeper)
    await given_up(house, sleeper, bot, Signal.BUY)
    await house.lose(sleeper)
    holder = await house.begin()
    looks = house.world.fault(on="GET order", times=None)
    await reconcile(sleeper)
    await house.pass_time(FIRST_ROUND_AFTER_S + 1)
    assert looks.counts["caught"] == 0
    await reconcile(holder)
    await house.until(bot, holds, passing=True)
    assert len(await found(house, bot)) == 1
    await house.check_books(holder)


async def test_what_never_was_is_looked_for_in_peace(house):
    """An order that nobody ever knew stays absent; it is looked for soon, and then once in a while."""
    life = await house.begin()
    bot = await house.running(life)
    house.world.fault(executes="no", answer="closed")
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_settled(1), passing=True)
    looks = house.world.fault(on="GET order", times=None)
    await reconcile(life)
    await house.pass_time(FIRST_ROUND_AFTER_S + 2 * ROUND_EVERY_S + 1)
    assert looks.counts["caught"] == 3
    async with house.database.begin() as tx:
        await tx.execute(text("UPDATE orders SET settled_at = settled_at - interval '24 hours'"))
    await house.pass_time(2 * ROUND_EVERY_S)
    assert looks.counts["caught"] == 3, "nobody looks after a day"
    assert [order.status for order in await house.orders(bot)] == ["absent"]
    assert not await found(house, bot)


async def protected_unawares(house: House, life: Life) -> Bot:
    """Return a bot whose position a list protects that was given up as absent."""
    bot = await house.running(life, exchange_protection=True)
    await lie(house, PLACES)
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_settled(2), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["filled", "absent"]
    assert not (await house.state(bot)).is_expecting
    tell_the_truth(house)
    return bot


async def test_a_list_that_stands_after_all_rests(house):
    """A list that was given up and protects the position is the bot's again: an exit takes it off first."""
    life = await house.begin()
    bot = await protected_unawares(house, life)
    await reconcile(life)
    state = await house.until(bot, lambda state: state.resting_list_number == 2, passing=True)
    assert "rests there" in state.last_error_message
    await house.obey(life, bot, CloseRequested(at=house.world.clock.now()))
    await house.until(bot, lambda state: not (state.in_position or state.is_expecting), passing=True)
    orders = [(order.number, order.status) for order in await house.orders(bot) if order.status != "rejected"]
    assert [status for _, status in orders] == ["filled", "cancelled", "cancelled", "filled"]
    await house.check_books(life)


async def test_a_list_that_sold_unawares_is_booked(house):
    """What a list sold that was given up is one trade with its leg's reason, and the bot is flat."""
    life = await house.begin()
    bot = await protected_unawares(house, life)
    house.world.say(CRASHED_PRICE)
    await reconcile(life)
    await house.until(bot, lambda state: not (state.in_position or state.is_expecting), passing=True)
    made = await rows(
        house.database,
        "SELECT o.type, t.reason FROM trades t JOIN orders o ON o.id = t.order_id"
        " WHERE t.bot_id = :bot AND t.side = 'SELL'",
        bot=bot.config.id,
    )
    assert [tuple(trade) for trade in made] == [("OCO", "stop_loss")]
    await house.check_books(life)


async def test_a_key_that_is_gone_waits(house):
    """While the account cannot be opened nobody crashes, and a later round finds the order."""
    life = await house.begin()
    bot = await house.running(life)
    await given_up(house, life, bot, Signal.BUY)
    await life.crash()
    async with house.database.begin() as tx:
        sealed = (await tx.execute(text("SELECT sealed FROM api_keys"))).scalar_one()
        await tx.execute(text("UPDATE api_keys SET sealed = 'spoilt'"))
    following = await house.begin()
    await reconcile(following)
    await house.pass_time(FIRST_ROUND_AFTER_S + 1)
    assert not await found(house, bot)
    async with house.database.begin() as tx:
        await tx.execute(text("UPDATE api_keys SET sealed = :sealed"), {"sealed": sealed})
    await house.until(bot, holds, passing=True)
    assert not following.crashes
    await house.check_books(following)
