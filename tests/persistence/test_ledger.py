"""What the books say that a bot holds, whatever its owner wrote in between."""

from decimal import Decimal

import pytest
from sqlalchemy import text

from botwarden.persistence import bots
from botwarden.persistence.ledger import read_books
from botwarden.trading import machine
from botwarden.trading.decisions import StatePut
from botwarden.trading.ledger import compare_books
from tests.persistence.examples import add_bot, days_ago, set_state

pytestmark = pytest.mark.anyio

BOOK = """
    WITH ordered AS (
        INSERT INTO orders (bot_id, number, user_id, api_key_id, venue, symbol, side, reason, quantity_base,
            decided_price_quote, client_order_id, intended_at, status, executed_base, settled_at)
        VALUES (:bot, :number, :user, :key, 'paper', 'BTCUSDT', :side, 'signal', :size,
            100, :client_id, :at, 'filled', :size, clock_timestamp())
        RETURNING id
    ), filled AS (
        INSERT INTO fills (order_id, venue_trade_id, bot_id, price_quote, quantity_base, quantity_quote,
            commission, commission_asset, commission_quote, executed_at)
        SELECT id, :number, :bot, 100, :size, :size * 100, 0, 'USDT', 0, :at FROM ordered
    )
    INSERT INTO trades (order_id, bot_id, user_id, symbol, side, reason, price_quote, quantity_base,
        quantity_quote, fee_quote, realised_pnl_quote, executed_at, trading_day)
    SELECT id, :bot, :user, 'BTCUSDT', :side, 'signal', 100, :size, :size * 100, 0, 0, :at, CAST(:day AS date)
    FROM ordered
"""


class Books:
    """A bot whose books are written step by step."""

    def __init__(self, database, bot):
        self.database, self.bot, self.number = database, bot, 0

    async def book(self, side: str, size: str, *, leaves: str) -> None:
        """Book a trade, after which the bot's own row says what it holds."""
        self.number += 1
        at = days_ago(0)
        values = {
            "bot": self.bot.config.id,
            "number": self.number,
            "user": self.bot.config.user_id,
            "key": self.bot.config.api_key_id,
            "side": side,
            "size": Decimal(size),
            "client_id": f"bw-abc123-1-{self.number}",
            "at": at,
            "day": at.date(),
        }
        async with self.database.begin() as tx:
            await tx.execute(text(BOOK), values)
        left = Decimal(leaves)
        await set_state(
            self.database,
            self.bot,
            in_position=left > 0,
            daily_trades_count=self.number,
            current_position_size_coins=left,
            entry_price=Decimal(100) if left else None,
        )

    async def put(self, **changes) -> None:
        """Let the owner write the state."""
        async with self.database.begin() as tx:
            config, before = await bots.lock_bot(tx, self.bot.config.user_id, self.bot.config.id)
            put = machine.decide(config, before, StatePut(changes=changes, at=days_ago(0)), instrument=None)
            await bots.save_bot(tx, before, put, adjustments=True)

    async def differences(self):
        async with self.database.read() as tx:
            return compare_books(await read_books(tx)).differences


@pytest.fixture
async def books(database):
    return Books(database, await add_bot(database))


def position(size: str) -> dict:
    return {"in_position": True, "current_position_size_coins": size, "entry_price": 100}


async def test_position_that_is_put_in_after_dust_is_no_difference(books):
    """Dust that a sale left in the account was booked off: it is not part of what the owner writes."""
    await books.book("BUY", "1.00005", leaves="1.00005")
    await books.book("SELL", "1", leaves="0")
    await books.put(**position("5"))
    assert await books.differences() == ()
    await books.book("SELL", "2", leaves="3")
    assert await books.differences() == ()


async def test_position_that_was_put_in_is_sold_in_parts(books):
    """A bot that has never bought may sell, in part, what its owner gave it."""
    await books.put(**position("5"))
    await books.book("SELL", "3", leaves="2")
    assert await books.differences() == ()


async def test_entry_adds_to_what_was_put_in(books):
    """What the owner gave and was too little to sell is sold together with the next entry."""
    await books.put(**position("0.00001"))
    await books.book("BUY", "1", leaves="1.00001")
    assert await books.differences() == ()
    await books.put(current_position_size_coins="0.9")
    await books.book("BUY", "1", leaves="1.9")
    assert await books.differences() == ()


async def test_position_that_was_given_up_is_over(books):
    """After a position was written off the next entry starts from nothing."""
    await books.book("BUY", "1", leaves="1")
    await books.put(in_position=False)
    await books.book("BUY", "2", leaves="2")
    assert await books.differences() == ()


async def test_holding_that_no_fill_explains_is_named(books):
    """What nobody bought, sold or wrote is a difference, and no PUT makes it good."""
    await books.book("BUY", "1", leaves="1.5")
    assert await books.differences() == ("bot 1: holds 1.5, its fills say 1",)
    await books.put(current_position_size_coins="3")
    assert await books.differences() == ("bot 1: holds 3, its fills say 2.5",)
