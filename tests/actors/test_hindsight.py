"""A trailing stop is where it would be if its bot had been awake, and never where no price of its own was."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from botwarden.exchange.market import BinanceMarket
from botwarden.exchange.paper.amounts import units
from botwarden.exchange.paper.bars import Bar
from botwarden.exchange.paper.times import MINUTE_MS
from botwarden.persistence.bots import Bot
from botwarden.runtime.testing import FakeClock
from botwarden.trading.bot import BotState
from botwarden.trading.decisions import Signal, StatePut
from tests.actors.house import CRASHED_PRICE, House, is_settled
from tests.actors.life import PRICE, Life
from tests.actors.world import World, open_world

pytestmark = pytest.mark.anyio

#: Trailing stops are one percent below the high: 63,360 at first.
TRAILING: dict[str, Any] = {
    "trailing_stop_active": True,
    "trailing_stop_perc": Decimal(1),
    # Its own candles are others.
    "timeframe": "1h",
}

#: The trailing stop of this one is still below the price.
SPIKE = "64500"
RAISED = (Decimal(64500), Decimal(63855))


@dataclass
class Script:
    """A `Source` whose market stands at one price, with spikes in some minutes."""

    source: Any
    highs: dict[int, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def minutes(self, symbol: str, from_ms: int, until_ms: int) -> list[Bar]:
        """Return the minutes that were written."""
        return [self._written(bar) for bar in self.source.minutes(symbol, from_ms, until_ms)]

    def _written(self, bar: Bar) -> Bar:
        price, high = units(PRICE), units(self.highs.get(bar.opened_ms, PRICE))
        return bar._replace(open=price, low=price, close=price, high=high)


@pytest.fixture(scope="module")
async def world(anyio_backend, tmp_path_factory) -> AsyncIterator[World]:  # noqa: ARG001 - it lives on its loop
    """A paper exchange whose market lives by the fake clock, as far as tests let it go on."""
    async with open_world(tmp_path_factory.mktemp("venue"), seed=None) as world:
        world.venue.market.source = Script(world.venue.market.source)
        yield world


@pytest.fixture(autouse=True)
async def _in_time(house: House) -> None:
    """The market has come to the present minute, whatever a former test has left."""
    while house.world.venue.market.minute_ms < present_ms(house):
        house.world.close_minute()
    house.world.say(PRICE)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The intervals of which candles were asked for."""
    intervals: list[str] = []
    candles = BinanceMarket.candles

    async def noted(self: BinanceMarket, symbol: str, interval: str, *, limit: int = 500) -> Any:
        intervals.append(interval)
        return await candles(self, symbol, interval, limit=limit)

    # Only a note is taken; the venue is asked all the same.
    monkeypatch.setattr(BinanceMarket, "candles", noted)
    return intervals


def clock(house: House) -> FakeClock:
    return house.world.clock


def present_ms(house: House) -> int:
    now_ms = house.world.venue.clock.now_ms()
    return now_ms - now_ms % MINUTE_MS


def spike(house: House, price: str = SPIKE) -> None:
    """Let the present minute have been so high, though nobody who is awake has heard a price of it."""
    house.world.venue.market.source.highs[present_ms(house)] = price


async def turn_minute(house: House) -> None:
    """Let the present minute end."""
    await house.world.next_minute()
    house.world.close_minute()


async def written_now(house: House, *bots: Bot) -> None:
    """Let these rows have been written last at the fake clock's present: the database has the real one."""
    async with house.database.begin() as tx:
        await tx.execute(text("ALTER TABLE bot_states DISABLE TRIGGER bot_states_touch"))
        await tx.execute(
            text("UPDATE bot_states SET last_updated_at = :now WHERE bot_id = ANY(:bots)"),
            {"now": clock(house).now(), "bots": [bot.config.id for bot in bots]},
        )
        await tx.execute(text("ALTER TABLE bot_states ENABLE TRIGGER bot_states_touch"))


async def left(house: House, count: int = 1) -> list[Bot]:
    """Return bots in position whose process has died right after the last write of their rows."""
    life = await house.begin()
    bots = [await house.holding(life, **TRAILING) for _ in range(count)]
    await life.crash()
    await written_now(house, *bots)
    return bots


def mark(state: BotState) -> tuple[Decimal | None, Decimal | None]:
    return state.max_price_since_entry, state.trailing_stop_price


def is_raised(state: BotState) -> bool:
    return mark(state) == RAISED


def is_as_bought(state: BotState) -> bool:
    return state.in_position and state.max_price_since_entry == state.entry_price


async def answered(house: House, life: Life) -> None:
    """Return when every bot was told what the venue has said."""
    await house.once(lambda: life.actor("hindsight"))
    await house.once(lambda: life.actor("hindsight").handled, passing=True)
    await house.pass_time(1)


async def test_a_high_that_was_missed_raises_mark_and_stop(house):
    """The price spiked while the process was down: the stop is where it would be, and sells there."""
    [bot] = await left(house)
    await turn_minute(house)
    spike(house)
    await turn_minute(house)
    await house.begin()
    await house.until(bot, is_raised, passing=True)
    house.world.say("63850")
    await house.until(bot, is_settled(2), passing=True)
    assert [order.reason for order in await house.orders(bot)] == ["signal", "trailing_stop"]


async def test_a_price_below_the_stop_that_was_missed_sells_at_once(house):
    """Had the bot been awake it would have sold: it does so now, without waiting for another price."""
    [bot] = await left(house)
    await turn_minute(house)
    spike(house, "65000")
    await turn_minute(house)
    life = await house.begin()
    await house.until(bot, is_settled(2), passing=True)
    assert [order.reason for order in await house.orders(bot)] == ["signal", "trailing_stop"]
    await house.check_books(life)


async def test_only_what_was_traded_after_the_last_write_counts(house, asked):
    """A minute in which the row was still written may be from before the entry; bots share one question."""
    early = await left(house, 3)
    await turn_minute(house)
    spike(house)
    [late] = await left(house)
    # The second life has written nothing of theirs.
    await turn_minute(house)
    del asked[:]
    life = await house.begin()
    for bot in early:
        await house.until(bot, is_raised, passing=True)
    await house.pass_time(1)
    assert is_as_bought(await house.state(late))
    assert asked.count("1m") == 1
    assert not life.crashes


async def test_the_minute_of_the_start_is_looked_at_when_it_has_closed(house):
    """A process that comes back within the minute learns of the spike when that minute has closed."""
    [bot] = await left(house)
    await turn_minute(house)
    spike(house)
    await clock(house).advance(30)
    life = await house.begin()
    await answered(house, life)
    assert is_as_bought(await house.state(bot))
    await turn_minute(house)
    await house.until(bot, is_raised, passing=True)


async def test_the_guard_waits_for_no_candle(house):
    """While the venue gives no candles the mark of the row guards, and they are asked for until they come."""
    sold, kept = await left(house, 2)
    await turn_minute(house)
    spike(house)
    await turn_minute(house)
    async with house.database.begin() as tx:
        # One of them had come close to its stop.
        await tx.execute(
            text("UPDATE bot_states SET trailing_stop_price = 63900 WHERE bot_id = :bot"),
            {"bot": sold.config.id},
        )
    fault = house.world.fault(
        name="klines", on="GET klines", answer="html", status=503, executes="no", times=None
    )
    life = await house.begin()
    await fault.reached("done", 1)
    house.world.say("63890")
    await house.until(sold, is_settled(2), passing=True)
    assert is_as_bought(await house.state(kept))
    house.world.venue.faults.clear("klines")
    await house.until(kept, is_raised, passing=True)
    assert not life.crashes


async def test_a_position_that_was_entered_anew_is_another(house):
    """What comes after the position has been sold and bought again says nothing about the new one."""
    [bot] = await left(house)
    await turn_minute(house)
    spike(house)
    await turn_minute(house)
    fault = house.world.fault(name="klines", on="GET klines", held=True, times=None)
    life = await house.begin()
    await fault.reached("caught", 1)
    await house.once(lambda: life.watches(bot))
    await house.pass_time(1)
    life.signal(bot, Signal.SELL)
    await house.until(bot, is_settled(2), passing=True)
    house.world.say(PRICE)
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(3), passing=True)
    house.world.venue.faults.clear("klines")
    await answered(house, life)
    after = await house.state(bot)
    assert is_as_bought(after)
    assert mark(after) == mark(state)


async def test_its_owner_has_the_last_word(house):
    """A trailing stop that its owner lowered meanwhile is not raised by what was missed before."""
    [bot] = await left(house)
    await turn_minute(house)
    spike(house)
    await turn_minute(house)
    fault = house.world.fault(name="klines", on="GET klines", held=True, times=None)
    life = await house.begin()
    await fault.reached("caught", 1)
    await house.once(lambda: life.watches(bot))
    put = StatePut(changes={"trailing_stop_price": Decimal(63000)}, at=clock(house).now())
    await house.obey(life, bot, put)
    await house.once(lambda: life.watches(bot)[-1].thresholds.new_high_above is not None, passing=True)
    await house.pass_time(1)
    house.world.venue.faults.clear("klines")
    await answered(house, life)
    state = await house.state(bot)
    assert is_as_bought(state)
    assert state.trailing_stop_price == 63000


async def test_a_bot_without_a_trailing_stop_asks_for_nothing(house, asked):
    """Who has no mark to raise, or nothing to lose, asks the venue for no candles."""
    life = await house.begin()
    await house.holding(life, timeframe="1h")
    await house.running(life, **TRAILING)
    await life.crash()
    await turn_minute(house)
    del asked[:]
    life = await house.begin()
    await house.pass_time(2)
    assert "1m" not in asked
    assert life.actor("hindsight") is None


async def test_a_market_ahead_of_the_clock_tells_nothing(house):
    """A market that is sped up closes minutes that are still to come: none can be held against our writes."""
    [bot] = await left(house)
    await turn_minute(house)
    market = house.world.venue.market
    market.source.highs[market.minute_ms + MINUTE_MS] = SPIKE
    for _ in range(3):
        house.world.close_minute()
    house.world.say(PRICE)
    life = await house.begin()
    await answered(house, life)
    await house.pass_time(70)
    assert is_as_bought(await house.state(bot))
    # Later tests find it in time again.
    await clock(house).advance(240)


async def test_candles_that_never_come_are_given_up(house, asked):
    """After ten minutes nobody asks any more, and the bot has been guarded all the time."""
    [bot] = await left(house)
    await turn_minute(house)
    house.world.fault(name="klines", on="GET klines", answer="html", status=503, executes="no", times=None)
    life = await house.begin()
    await house.once(lambda: "1m" in asked, passing=True)
    for _ in range(11):
        del asked[:]
        await clock(house).advance(60)
        await house.once(lambda: "1m" in asked, passing=True)
    await house.pass_time(1)
    del asked[:]
    await clock(house).advance(60)
    await house.pass_time(1)
    assert "1m" not in asked
    assert is_as_bought(await house.state(bot))
    house.world.say(CRASHED_PRICE)
    await house.until(bot, is_settled(2), passing=True)
    assert not life.crashes
