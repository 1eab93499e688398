"""What a strategy said counts for the configuration that it was said for, and for no other."""

from typing import Any

import pytest
from msgspec.structs import replace

from botwarden.persistence import bots
from botwarden.trading.bot import Status
from botwarden.trading.decisions import Signal
from tests.actors.house import House, is_settled

pytestmark = pytest.mark.anyio


async def change(house: House, bot, **fields: Any) -> None:
    """Let the owner change the configuration, as the API does it."""
    async with house.database.begin() as tx:
        config, state = await bots.lock_bot(tx, house.user_id, bot.config.id)
        await bots.update_config(tx, config, replace(config, **fields), state)


@pytest.mark.parametrize("hears_first", [True, False], ids=["word comes first", "signal comes first"])
async def test_a_signal_buys_no_other_symbol(house, hears_first):
    """A BUY that was said of one symbol when its owner moves the bot to another is let go."""
    life = await house.begin()
    bot = await house.running(life)
    house.world.say("3000", "ETHUSDT")
    await change(house, bot, symbol="ETHUSDT")
    if hears_first:
        life.wake(bot.config.id)
    life.signal(bot, Signal.BUY)
    await house.pass_time(2)
    assert await house.orders(bot) == []
    assert (await house.state(bot)).status == Status.RUNNING
    house.world.say("3000", "ETHUSDT")
    moved = replace(bot.config, symbol="ETHUSDT")
    life.signal(bot._replace(config=moved), Signal.BUY, "3000")
    await house.until(bot, is_settled(1), passing=True)


async def test_the_price_of_the_former_symbol_is_forgotten(house):
    """A bot that moved knows no price until the new feed has told it one."""
    life = await house.begin()
    neighbour = await house.running(life, symbol="ETHUSDT")
    bot = await house.running(life)
    house.world.say("3000", "ETHUSDT")
    await change(house, bot, symbol="ETHUSDT")
    life.wake(bot.config.id)
    await house.once(lambda: life.watches(bot)[-1].feed == life.watches(neighbour)[-1].feed)
    assert life.watches(bot)[-1].greet
