"""An exchange account's own records, read whole and patiently, for `verify-ledger`."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import TypeVar

from botwarden.errors import BotwardenError, Unavailable
from botwarden.exchange.errors import ClientFailed, UnreadableSecret, VenueRefused
from botwarden.exchange.port import Account, AccountTrade, Found
from botwarden.trading.ledger import VenueOrder
from botwarden.trading.orders import Fill

#: Between two questions to an exchange that has not answered.
PAUSE_S = 2.0

#: A venue's limits are those of its minutes, so after two of them there is room.
PATIENCE_S = 120.0

#: The venue does not take the key or its signature: waiting changes nothing.
#: Source: Binance spot API, error codes.
_KEY_REFUSED = frozenset({-1022, -2008, -2014, -2015})

T = TypeVar("T")


def is_about_key(error: BotwardenError) -> bool:
    """Whether the account stays closed to us, until its owner stores another key."""
    match error:
        case ClientFailed() | UnreadableSecret():
            return True
        case VenueRefused(code=code):
            return code in _KEY_REFUSED
        case _:
            return False


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Return the answer of an exchange that may be away for a moment, or have no room for another request."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask()
        except Unavailable as away:
            if is_about_key(away) or time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(PAUSE_S)  # The venue's minute turns, or its server comes back.


async def read_orders(account: Account, symbol: str) -> list[VenueOrder]:
    """Return every order of the symbol with its executions, oldest first."""
    orders: list[Found] = []
    last = 0
    while page := await patiently(partial(account.orders_since, symbol, last)):
        orders.extend(page)
        last = page[-1].venue_order_id
    fills = await _read_fills(account, symbol)
    return [_with_fills(order, fills[order.venue_order_id]) for order in orders]


async def read_balances(account: Account) -> dict[str, Decimal]:
    """Return by asset what is there, free and locked together."""
    return {it.asset: it.free + it.locked for it in await patiently(account.balances)}


async def _read_fills(account: Account, symbol: str) -> defaultdict[int, list[Fill]]:
    trades: list[AccountTrade] = []
    last = 0
    while batch := await patiently(partial(account.trades_since, symbol, last)):
        trades.extend(batch)
        last = batch[-1].fill.venue_trade_id
    fills: defaultdict[int, list[Fill]] = defaultdict(list)
    for trade in trades:
        fills[trade.venue_order_id].append(trade.fill)
    return fills


def _with_fills(order: Found, fills: Sequence[Fill]) -> VenueOrder:
    return VenueOrder(
        venue_order_id=order.venue_order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        executed_base=order.executed_base,
        executed_quote=order.executed_quote,
        fills=tuple(fills),
    )
