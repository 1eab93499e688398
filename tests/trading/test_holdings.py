"""Each balance of an account is what its executions have moved, and what others paid in or out."""

from decimal import Decimal
from typing import Any

import pytest

from botwarden.trading.bot import BotId
from botwarden.trading.holdings import Holding, Position, holdings, steady
from botwarden.trading.ledger import BookedOrder, VenueOrder, compare_orders
from botwarden.trading.orders import OrderStatus, Side
from tests.trading.examples import INSTRUMENT, make_fill

LISTED = {INSTRUMENT.symbol: INSTRUMENT}


def order(side: str, size: str, price: str, *, fee: tuple[str, str], client_id: str = "web_1") -> VenueOrder:
    """Return an order that was filled at once."""
    fill = make_fill(price, size, commission=Decimal(fee[0]), commission_asset=fee[1])
    return VenueOrder(
        venue_order_id=1,
        client_order_id=client_id,
        symbol=INSTRUMENT.symbol,
        side=side,
        executed_base=fill.quantity_base,
        executed_quote=fill.quantity_quote,
        fills=(fill,),
    )


def position(held: str, *, version: int = 1, **changes: Any) -> Position:
    """Return what a bot holds."""
    facts = {"bot_id": BotId(1), "symbol": INSTRUMENT.symbol} | changes
    return Position(version=version, held_base=Decimal(held), **facts)


def found(present: dict[str, str], orders: list[VenueOrder], positions: list[Position]) -> dict[str, Holding]:
    """Return the holdings by asset."""
    there = {asset: Decimal(amount) for asset, amount in present.items()}
    return {it.asset: it for it in holdings(LISTED, there, {INSTRUMENT.symbol: orders}, positions)}


def test_purchases_sales_and_fees_explain_the_balances():
    """Base and quote move against each other, each fee goes off its own asset; the rest was paid in."""
    bought = order("BUY", "2", "100", fee=("0.002", "BTC"))
    sold = order("SELL", "0.5", "120", fee=("0.01", "BNB"))
    assets = found({"BTC": "1.498", "USDT": "860", "BNB": "0.99"}, [bought, sold], [])
    assert {name: it.foreign for name, it in assets.items()} == {"BTC": 0, "USDT": 1000, "BNB": 1}
    assert not any(it.is_short for it in assets.values())


@pytest.mark.parametrize(("present", "short"), [("1.2", False), ("1.19999999", True)])
def test_what_bots_hold_must_be_there(present, short):
    """Positions of several bots add up; one unit less in the account is named."""
    assets = found({"BTC": present}, [], [position("0.5"), position("0.7", bot_id=BotId(2))])
    assert assets["BTC"].held_by_bots == Decimal("1.2")
    assert assets["BTC"].is_short is short


def test_a_position_without_a_balance_is_short():
    """An asset that the account does not list at all is none."""
    assert found({}, [], [position("0.1")])["BTC"].is_short


def test_a_symbol_that_is_gone_moves_nothing():
    """Nobody can say which assets it was made of."""
    gone = {"OLDUSDT": [order("BUY", "1", "1", fee=("0", "OLD"))]}
    assert holdings(LISTED, {}, gone, [position("1", symbol="OLDUSDT")]) == []


def test_only_positions_that_stood_still_count():
    """Whoever traded while the balances were read may have sold already."""
    before = [position("1"), position("2", bot_id=BotId(2))]
    after = [position("1"), position("2", bot_id=BotId(2), version=2), position("3", bot_id=BotId(3))]
    assert steady(before, after) == [position("1")]


def test_orders_of_another_key_of_the_account_are_ours():
    """An account shows each of its keys the orders of all; those are neither foreign nor missing."""
    theirs = [order("BUY", "1", "100", fee=("0", "BTC"), client_id="bw-abc123-1-1")]
    other = BookedOrder(
        bot_id=BotId(1),
        number=1,
        symbol=INSTRUMENT.symbol,
        side=Side.BUY,
        client_order_id="bw-abc123-1-1",
        status=OrderStatus.FILLED,
        venue_order_id=1,
        executed_base=Decimal(1),
        executed_quote=Decimal(100),
        fills=(),
    )
    assert len(compare_orders([], theirs, tag="abc123").differences) == 1
    result = compare_orders([], theirs, tag="abc123", elsewhere=[other])
    assert (result.differences, result.foreign) == ((), ())
