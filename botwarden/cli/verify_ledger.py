"""`botwarden verify-ledger`: our books held against the exchange accounts' own records."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import click
from rich.console import Console

from botwarden.errors import Unavailable
from botwarden.exchange.port import Account, AccountTrade, Exchange, Found
from botwarden.persistence.database import Database
from botwarden.persistence.installation import read_tag
from botwarden.persistence.ledger import TradedAccount, read_booked_orders, read_books, read_traded_accounts
from botwarden.settings import Settings
from botwarden.trading.ledger import Comparison, VenueOrder, compare_books, compare_orders
from botwarden.trading.orders import Fill
from botwarden.wiring import Backend, attached

#: A running bot trades while the books are compared: only what differs each time is a difference.
LOOKS = 3
PAUSE_S = 2.0

#: A venue's limits are those of its minutes, so after two of them there is room.
PATIENCE_S = 120.0

#: Settings without which there are no books, or no way to those of the exchange.
NEEDED = ("database_url", "redis_url", "secret_key")

T = TypeVar("T")


@click.command()
def command() -> None:
    """Hold every order and fill against the exchange account's own records; exit 0 when nothing differs."""
    console, settings = Console(), Settings.from_environment()
    if missing := [it for it in NEEDED if not getattr(settings, it)]:
        names = ", ".join(f"BOTWARDEN_{it.upper()}" for it in missing)
        raise click.ClickException(f"There are no books to verify: run `botwarden up`, or set {names}.")
    differences = asyncio.run(_verify(settings, console))
    for difference in differences:
        console.print(f"[red]DIFFERENCE[/red] {difference}", highlight=False)
    console.print("No difference." if not differences else f"{len(differences)} differences.")
    raise SystemExit(1 if differences else 0)


async def _verify(settings: Settings, console: Console) -> Sequence[str]:
    async with attached(settings) as backend:
        differences: list[str] = []
        for look in range(LOOKS):
            found = await _look(backend, console, tell=look == 0)
            differences = [text for text in found if look == 0 or text in differences]
            if not differences:
                break
            await asyncio.sleep(
                PAUSE_S
            )  # Trading goes on meanwhile: what was only under way is settled then.
        return differences


async def _look(backend: Backend, console: Console, *, tell: bool) -> list[str]:
    differences: list[str] = []
    async with backend.database.read() as tx:
        accounts = await read_traded_accounts(tx)
    with console.status("Comparing ...") as status:
        for number, account in enumerate(accounts, 1):
            status.update(f"{account.symbol} of key {account.api_key_id} ({number} of {len(accounts)})")
            result = await _compare_account(backend.database, backend.exchange, account)
            differences.extend(result.differences)
            if tell:
                _tell(console, account, result)
    async with backend.database.begin() as tx:
        books = compare_books(await read_books(tx))
    if tell:
        console.print(f"{books.compared} bots: counters and positions compared")
    return [*differences, *books.differences]


def _tell(console: Console, account: TradedAccount, result: Comparison) -> None:
    name = f"{account.venue} key {account.api_key_id} {account.symbol}"
    extra = f", {len(result.in_flight)} in flight" if result.in_flight else ""
    console.print(f"{name}: {result.compared} orders compared{extra}", highlight=False)
    for foreign in result.foreign:
        console.print(f"  foreign: {foreign}", highlight=False)


async def _compare_account(database: Database, exchange: Exchange, traded: TradedAccount) -> Comparison:
    account = await exchange.account(traded.venue, traded.api_key_id)
    try:
        theirs = await _read_account(account, traded.symbol)
    finally:
        await account.close()
    async with database.begin() as tx:
        ours = await read_booked_orders(tx, traded)
        tag = await read_tag(tx)
    return compare_orders(ours, theirs, tag=tag)


async def patiently(ask: Callable[[], Awaitable[Sequence[T]]]) -> Sequence[T]:
    """Return the answer of an exchange that may be away for a moment, or have no room for another request."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask()
        except Unavailable:
            if time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(PAUSE_S)  # The venue's minute turns, or its server comes back.


async def _read_account(account: Account, symbol: str) -> list[VenueOrder]:
    orders: list[Found] = []
    last = 0
    while page := await patiently(partial(account.orders_since, symbol, last)):
        orders.extend(page)
        last = page[-1].venue_order_id
    trades: list[AccountTrade] = []
    last = 0
    while batch := await patiently(partial(account.trades_since, symbol, last)):
        trades.extend(batch)
        last = batch[-1].fill.venue_trade_id
    fills: dict[int, list[Fill]] = defaultdict(list)
    for trade in trades:
        fills[trade.venue_order_id].append(trade.fill)
    return [
        VenueOrder(
            venue_order_id=order.venue_order_id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            executed_base=order.executed_base,
            executed_quote=order.executed_quote,
            fills=tuple(fills[order.venue_order_id]),
        )
        for order in orders
    ]
