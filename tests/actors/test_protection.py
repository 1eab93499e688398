"""A list at the exchange and the bot that placed it: the position is sold once, whoever sleeps or crashes."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from botwarden.actors.errand import CancelErrand
from botwarden.actors.loading import read_rows
from botwarden.actors.tending import LookAtList
from botwarden.exchange.port import NotFound
from botwarden.persistence import bots
from botwarden.persistence.bots import Bot
from botwarden.trading.bot import BotState, Venue
from botwarden.trading.decisions import CloseRequested, Signal, StatePut, StopRequested
from botwarden.trading.orders import Resting
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, House
from tests.actors.life import PRICE, Life
from tests.persistence.examples import rows

pytestmark = pytest.mark.anyio

#: Above the take-profit of a position that was bought at `PRICE`.
SOARED_PRICE = "67500"

PLACES, CANCELS = "POST orderList/oco", "DELETE order"


def rests(state: BotState) -> bool:
    return state.resting_list_number is not None and state.open_order_number is None


def is_flat(state: BotState) -> bool:
    return not state.in_position and not state.is_expecting


def is_off(state: BotState) -> bool:
    return not state.is_expecting


async def protected(house: House, life: Life, **changes: Any) -> Bot:
    """Return a bot whose position is protected."""
    bot = await house.running(life, exchange_protection=True, **changes)
    life.signal(bot, Signal.BUY)
    await house.until(bot, rests, passing=True)
    return bot


async def kinds(house: House, bot: Bot) -> list[tuple[str, str]]:
    """Return type and status of the bot's orders, oldest first."""
    found = await rows(
        house.database,
        "SELECT type, status FROM orders WHERE bot_id = :bot ORDER BY number",
        bot=bot.config.id,
    )
    return [tuple(row) for row in found]


async def sales(house: House, bot: Bot) -> list[tuple[str, str]]:
    """Return what sold, and why."""
    found = await rows(
        house.database,
        """SELECT o.type, t.reason FROM trades t JOIN orders o ON o.id = t.order_id
           WHERE t.bot_id = :bot AND t.side = 'SELL' ORDER BY t.id""",
        bot=bot.config.id,
    )
    return [tuple(row) for row in found]


async def check_sold_once(house: House, life: Life, bot: Bot) -> None:
    """What was bought and what was sold at the venue differ by dust, and the books say the same."""
    legs = await house.venue_orders(life)
    bought = sum((leg.executed_base for leg in legs if leg.side == "BUY"), Decimal(0))
    sold = sum((leg.executed_base for leg in legs if leg.side == "SELL"), Decimal(0))
    assert Decimal(0) <= bought - sold < bought / 100
    assert (await house.state(bot)).current_position_size_coins == 0
    await house.check_books(life)


def account_of(house: House) -> Any:
    """Return the house's account at the venue: the newest."""
    accounts = house.world.venue.engine.accounts.by_id
    return accounts[max(accounts)]


def alive(house: House) -> list[Any]:
    """Return the legs on the venue's book."""
    return list(account_of(house).open_orders.values())


async def test_an_entry_is_protected_at_the_venue(house):
    """Both legs stand on the book for what is held, at the thresholds of the state; the bot goes on."""
    life = await house.begin()
    bot = await protected(house, life)
    state = await house.state(bot)
    below, above = sorted(alive(house), key=lambda leg: leg.order_id)
    assert (below.type, above.type) == ("STOP_LOSS", "LIMIT_MAKER")
    assert Decimal(below.stop_price).scaleb(-8) == state.stop_loss_price
    assert Decimal(above.price).scaleb(-8) == state.take_profit_price
    assert Decimal(above.quantity).scaleb(-8) <= state.current_position_size_coins
    life.signal(bot, Signal.HOLD)
    await house.pass_time(1)
    assert await kinds(house, bot) == [("MARKET", "filled"), ("OCO", "resting")]


@pytest.mark.parametrize(("price", "reason"), [(CRASHED_PRICE, "stop_loss"), (SOARED_PRICE, "take_profit")])
async def test_what_the_list_sold_while_nobody_was_awake_is_booked_once(house, price, reason):
    """The price crosses a threshold between two lives: the next finds the fill, and sells nothing more."""
    life = await house.begin()
    bot = await protected(house, life)
    await life.crash()
    house.world.say(price)
    house.world.say(PRICE)
    following = await house.begin()
    await house.until(bot, is_flat, passing=True)
    assert await sales(house, bot) == [("OCO", reason)]
    assert (await house.state(bot)).daily_trades_count == 2
    await check_sold_once(house, following, bot)


@pytest.mark.parametrize("price", [CRASHED_PRICE, SOARED_PRICE])
async def test_guard_and_list_meet_the_same_price(house, price):
    """Both wake at the threshold: the venue is first, and the bot books it without selling as well."""
    life = await house.begin()
    bot = await protected(house, life)
    house.world.say(price)
    await house.until(bot, is_flat, passing=True)
    assert [type_ for type_, _ in await sales(house, bot)] == ["OCO"]
    await check_sold_once(house, life, bot)


async def test_an_exit_by_signal_takes_the_list_off_first(house):
    """Cancel, then sale of all that is held."""
    life = await house.begin()
    bot = await protected(house, life)
    life.signal(bot, Signal.SELL)
    await house.until(bot, is_flat, passing=True)
    assert await kinds(house, bot) == [
        ("MARKET", "filled"),
        ("OCO", "cancelled"),
        ("CANCEL", "cancelled"),
        ("MARKET", "filled"),
    ]
    assert await sales(house, bot) == [("MARKET", "signal")]
    assert alive(house) == []
    await check_sold_once(house, life, bot)


async def test_a_close_request_finds_a_leg_executed(house):
    """The list has sold when its owner asks to close: the cancel is too late, and nothing is sold twice."""
    life = await house.begin()
    bot = await protected(house, life)
    await life.crash()
    await house.write(bot, CloseRequested(at=house.world.clock.now()))
    house.world.say(CRASHED_PRICE)
    following = await house.begin()
    await house.until(bot, is_flat, passing=True)
    assert await sales(house, bot) == [("OCO", "stop_loss")]
    assert not (await house.state(bot)).is_active
    await check_sold_once(house, following, bot)


async def test_a_stop_takes_the_list_off_and_keeps_the_position(house):
    """No order of a stopped bot stays at the venue."""
    life = await house.begin()
    bot = await protected(house, life)
    await house.obey(life, bot, StopRequested(at=house.world.clock.now()))
    state = await house.until(bot, is_off, passing=True)
    assert (state.in_position, state.is_active) == (True, False)
    assert alive(house) == []
    house.world.say(CRASHED_PRICE)
    await house.pass_time(2)
    assert await sales(house, bot) == []


async def test_a_stop_that_nobody_heard_is_obeyed_by_the_next_life(house):
    """The bot is stopped while the process is down: whoever takes it up cancels."""
    life = await house.begin()
    bot = await protected(house, life)
    await life.crash()
    await house.write(bot, StopRequested(at=house.world.clock.now()))
    await house.begin()
    assert (await house.until(bot, is_off, passing=True)).in_position
    assert alive(house) == []


async def test_written_thresholds_move_the_list(house):
    """The owner writes another stop: the old list goes, one at the new price comes."""
    life = await house.begin()
    bot = await protected(house, life)
    put = StatePut(changes={"stop_loss_price": "63000"}, at=house.world.clock.now())
    await house.obey(life, bot, put)
    await house.until(bot, lambda state: rests(state) and state.orders_made == 4, passing=True)
    assert sorted(leg.stop_price for leg in alive(house)) == [0, 63_000 * 10**8]


async def test_a_list_that_others_cancel_is_found_missing_and_placed_again(house):
    """Nobody tells the bot: the regular look finds it, and after a pause the position is protected again."""
    life = await house.begin()
    bot = await protected(house, life)
    venue = house.world.venue
    venue.engine.cancel(account_of(house), alive(house)[0], venue.clock.now_ms())
    await house.until(bot, lambda state: rests(state) and state.orders_made == 3, passing=True)
    assert len(alive(house)) == 2
    assert await kinds(house, bot) == [("MARKET", "filled"), ("OCO", "cancelled"), ("OCO", "resting")]


async def test_the_venues_limit_leaves_a_bot_unprotected_for_a_while(house):
    """The sixth stop of a symbol is one too many: it is told, the guard goes on, and it is tried again."""
    life = await house.begin()
    first, *_ = [await protected(house, life) for _ in range(5)]
    sixth = await house.running(life, exchange_protection=True)
    life.signal(sixth, Signal.BUY)
    refused = await house.until(sixth, lambda state: state.protection_retry_at is not None, passing=True)
    assert "MAX_NUM_ALGO_ORDERS" in refused.last_error_message
    assert (refused.status, refused.in_position) == ("running", True)
    life.signal(first, Signal.SELL)
    await house.until(first, is_flat, passing=True)
    await house.until(sixth, rests, passing=True)
    assert (await house.state(sixth)).last_error_message is None


# Crashes ----------------------------------------------------------------------------------------------


def at_step(step: Step) -> Callable[[House, Life, str], Callable[[], Any]]:
    return lambda _house, life, _endpoint: life.doors.hold(step).meet


def at_venue(waits: str) -> Callable[[House, Life, str], Callable[[], Any]]:
    def hold(house: House, _life: Life, endpoint: str) -> Callable[[], Any]:
        fault = house.world.fault(on=endpoint, name="held", held=True, waits=waits)
        return lambda: fault.reached("caught" if waits == "before" else "executed", 1)

    return hold


PLACES_TO_CRASH = {
    "before the intent's commit": at_step(Step.INTENT_WRITTEN),
    "after the intent's commit": at_step(Step.INTENT_COMMITTED),
    "before the engine": at_venue("before"),
    "behind the engine": at_venue("after"),
    "before the outcome's commit": at_step(Step.OUTCOME_WRITTEN),
    "after the outcome's commit": at_step(Step.OUTCOME_COMMITTED),
}


@pytest.mark.parametrize("where", PLACES_TO_CRASH)
async def test_a_crash_while_the_list_is_placed(house, where):
    """Wherever the life ends, the next one has exactly one list at the venue, and knows it."""
    life = await house.begin()
    bot = await house.running(life)
    life.signal(bot, Signal.BUY)
    await house.until(bot, lambda state: state.in_position)
    reached = PLACES_TO_CRASH[where](house, life, PLACES)
    await protect(house, life, bot)
    await reached()
    await life.crash()
    house.world.venue.faults.clear()
    following = await house.begin()
    state = await house.until(bot, rests, passing=True)
    [number] = {leg.client_order_id.rpartition("-")[0].rpartition("-")[2] for leg in alive(house)}
    assert (len(alive(house)), int(number, 36)) == (2, state.resting_list_number)
    await leave(house, following, bot)
    await check_sold_once(house, following, bot)


async def leave(house: House, life: Life, bot: Bot) -> None:
    """Let the strategy sell, as soon as the bot listens."""
    await house.once(lambda: life.watches(bot), passing=True)
    life.signal(bot, Signal.SELL)
    await house.until(bot, is_flat, passing=True)


async def protect(house: House, life: Life, bot: Bot) -> None:
    """Let the owner ask for protection, as the API does it."""
    async with house.database.begin() as tx:
        config, state = await bots.lock_bot(tx, house.user_id, bot.config.id)
        await bots.update_config(tx, config, replace(config, exchange_protection=True), state)
    life.wake(bot.config.id)


@pytest.mark.parametrize("where", PLACES_TO_CRASH)
@pytest.mark.parametrize("meanwhile", [None, CRASHED_PRICE])
async def test_a_crash_while_the_list_is_taken_off(house, where, meanwhile):
    """Wherever the life ends, and whatever the market does then, the position is sold once."""
    life = await house.begin()
    bot = await protected(house, life)
    reached = PLACES_TO_CRASH[where](house, life, CANCELS)
    life.signal(bot, Signal.SELL)
    await reached()
    await life.crash()
    if meanwhile is not None:
        house.world.say(meanwhile)
    house.world.venue.faults.clear()
    following = await house.begin()
    if meanwhile is None and where == "before the intent's commit":
        await leave(house, following, bot)
    await house.until(bot, is_flat, passing=True)
    assert len(await sales(house, bot)) == 1
    assert alive(house) == []
    await check_sold_once(house, following, bot)


async def test_a_list_that_was_booked_while_its_cancel_was_in_flight(house):
    """A look finds the list sold before the cancel's answer comes: the next life ends the cancel."""
    life = await house.begin()
    bot = await protected(house, life)
    look = house.world.fault(on="GET orderList", held=True, times=1)
    cancel = house.world.fault(on=CANCELS, held=True)
    life.bot(bot).tell(LookAtList())
    await house.once(lambda: look.counts["caught"])
    life.signal(bot, Signal.SELL)
    await house.once(lambda: cancel.counts["caught"])
    house.world.say(CRASHED_PRICE)
    look.release()
    state = await house.until(bot, lambda state: state.resting_list_number is None)
    assert state.open_order_number is not None
    await life.crash()
    house.world.venue.faults.clear()
    following = await house.begin()
    await house.until(bot, is_flat, passing=True)
    assert [type_ for type_, _ in await sales(house, bot)] == ["OCO"]
    assert following.crashes == []
    await check_sold_once(house, following, bot)


async def test_a_cancel_without_an_answer_is_asked_about(house):
    """The answer is lost: the list is found cancelled, and the rest is sold once."""
    life = await house.begin()
    bot = await protected(house, life)
    house.world.fault(on=CANCELS, answer="reset")
    life.signal(bot, Signal.SELL)
    await house.until(bot, is_flat, passing=True)
    assert await sales(house, bot) == [("MARKET", "signal")]
    await check_sold_once(house, life, bot)


async def test_cancels_in_vain_become_rarer(house):
    """The venue refuses every cancel of a stopped bot: the books are not filled with attempts."""
    life = await house.begin()
    bot = await protected(house, life)
    house.world.fault(on=CANCELS, executes="no", answer="error", code=-1013, message="No.", times=None)
    await house.obey(life, bot, StopRequested(at=house.world.clock.now()))
    await house.pass_time(20)
    cancels = [status for type_, status in await kinds(house, bot) if type_ == "CANCEL"]
    assert set(cancels) == {"rejected"}
    assert 3 <= len(cancels) <= 5
    house.world.venue.faults.clear()
    assert (await house.until(bot, is_off, passing=True)).in_position


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([Resting, NotFound, Resting], [NotFound, None, None]),
        ([Resting, Resting], [NotFound, NotFound]),
        ([NotFound, NotFound], [NotFound, NotFound]),
        ([NotFound, Resting, Resting], [NotFound, None, NotFound]),
    ],
    ids=["in between", "stands", "gone", "stands after all"],
)
async def test_one_blank_look_does_not_end_a_list(house: House, seen: list[type], told: list[Any]) -> None:
    """That a list is gone, or stands, counts only when two looks in a row have shown the same."""
    life = await house.begin()
    bot = await protected(house, life)
    account = await life.exchange.account(Venue.PAPER, house.api_key_id)
    row = (await read_rows(house.database, [bot.config.id]))[0]
    assert row.resting is not None
    errand = CancelErrand(row.resting, row.resting, account)
    found = []
    for look in seen:
        if look is NotFound:
            house.world.fault(on="GET orderList", executes="no", answer="error", code=-2013)
        outcome = await errand.find()
        found.append(outcome if outcome is None else type(outcome))
    assert found == told
    await account.close()
