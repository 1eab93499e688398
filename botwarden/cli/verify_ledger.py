"""`botwarden verify-ledger`: our books held against the exchange accounts' own records."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import click
from rich.console import Console

from botwarden.cli.account_records import PAUSE_S, is_about_key, patiently, read_balances, read_orders
from botwarden.errors import BotwardenError
from botwarden.exchange.port import Exchange
from botwarden.persistence.database import Database
from botwarden.persistence.installation import read_tag
from botwarden.persistence.ledger import (
    TradedAccount,
    read_booked_elsewhere,
    read_booked_orders,
    read_books,
    read_positions,
    read_traded_accounts,
)
from botwarden.settings import Settings
from botwarden.trading.bot import ApiKeyId
from botwarden.trading.holdings import Holding, Position, holdings, steady
from botwarden.trading.ledger import Comparison, VenueOrder, compare_books, compare_orders
from botwarden.wiring import attached

#: A running bot trades while the accounts are read: only what differs each time is a difference.
LOOKS = 3

#: Settings without which there are no books, or no way to those of the exchange.
NEEDED = ("database_url", "redis_url", "secret_key")


@click.command()
def command() -> None:
    """Hold every order, fill and balance against the exchange's records; exit 0 when nothing differs."""
    # A line is a line, also for a script that reads it.
    console, settings = Console(soft_wrap=True), Settings.from_environment()
    if missing := [it for it in NEEDED if not getattr(settings, it)]:
        names = ", ".join(f"BOTWARDEN_{it.upper()}" for it in missing)
        raise click.ClickException(f"There are no books to verify: run `botwarden up`, or set {names}.")
    differences = asyncio.run(_verify(settings, console))
    for difference in differences:
        console.print(f"[red]DIFFERENCE[/red] {difference}", highlight=False)
    console.print("No difference." if not differences else f"{len(differences)} differences.")
    raise SystemExit(1 if differences else 0)


class KeyResult(NamedTuple):
    """What one look at one key's account has found."""

    name: str
    orders: Mapping[str, Comparison]
    holdings: Sequence[Holding]
    #: Whether nothing moved while the account was read, so that what is foreign is known to the last digit.
    was_quiet: bool

    @property
    def differences(self) -> list[str]:
        """Each difference as a line that stays the same for as long as the difference does."""
        wrong = [text for comparison in self.orders.values() for text in comparison.differences]
        short = [it.asset for it in self.holdings if it.is_short]
        return wrong + [f"{self.name}: bots hold more {asset} than the account has" for asset in short]


async def _verify(settings: Settings, console: Console) -> Sequence[str]:
    async with attached(settings) as backend:
        differences: list[str] = []
        for look in range(LOOKS):
            if look > 0:
                # Trading goes on meanwhile: what was only under way is settled then.
                await asyncio.sleep(PAUSE_S)
            found = await look_at_accounts(backend.database, backend.exchange, console, tell=look == 0)
            differences = [text for text in found if look == 0 or text in differences]
            if not differences:
                break
        async with backend.database.begin() as tx:
            books = compare_books(await read_books(tx))
        console.print(f"{books.compared} bots: counters and positions compared")
        return [*differences, *books.differences]


async def look_at_accounts(
    database: Database, exchange: Exchange, console: Console, *, tell: bool
) -> list[str]:
    """Return what differs now between the books and every account that bots have traded with."""
    differences: list[str] = []
    async with database.read() as tx:
        traded = await read_traded_accounts(tx)
    with console.status("Comparing ...") as status:
        for (venue, api_key_id), accounts in groupby(traded, lambda it: (it.venue, it.api_key_id)):
            status.update(f"{venue} key {api_key_id}")
            try:
                result = await compare_key(database, exchange, list(accounts))
            except BotwardenError as closed:
                if not is_about_key(closed):
                    raise
                # Whoever cannot be asked agrees with nothing, and keeps nobody else from being compared.
                differences.append(f"{venue} key {api_key_id}: cannot be compared: {closed}")
                continue
            differences.extend(result.differences)
            if tell:
                _tell(console, result)
    return differences


def _tell(console: Console, result: KeyResult) -> None:
    for symbol, orders in result.orders.items():
        extra = f", {len(orders.in_flight)} in flight" if orders.in_flight else ""
        console.print(f"{result.name} {symbol}: {orders.compared} orders compared{extra}", highlight=False)
        for foreign in orders.foreign:
            console.print(f"  foreign: {foreign}", highlight=False)
    for it in result.holdings:
        console.print(
            f"{result.name} {it.asset}: {it.present:f}, of bots {it.held_by_bots:f}", highlight=False
        )
        if result.was_quiet and it.foreign:
            console.print(f"  foreign: {it.foreign:+f} by no order on these symbols", highlight=False)


async def compare_key(database: Database, exchange: Exchange, accounts: Sequence[TradedAccount]) -> KeyResult:
    """Compare everything that bots have traded with one key; the accounts differ in their symbols only."""
    venue, api_key_id = accounts[0].venue, accounts[0].api_key_id
    listed = await patiently(exchange.market(venue).instruments)
    account = await exchange.account(venue, api_key_id)
    try:
        before = await _positions(database, api_key_id)
        present = await read_balances(account)
        held = steady(before, await _positions(database, api_key_id))
        theirs = {it.symbol: await read_orders(account, it.symbol) for it in accounts}
        was_quiet = present == await read_balances(account)
    finally:
        await account.close()
    return KeyResult(
        name=f"{venue} key {api_key_id}",
        orders={it.symbol: await _compare_orders(database, it, theirs[it.symbol]) for it in accounts},
        holdings=holdings(listed, present, theirs, held),
        was_quiet=was_quiet,
    )


async def _positions(database: Database, api_key_id: ApiKeyId) -> Sequence[Position]:
    async with database.read() as tx:
        return await read_positions(tx, api_key_id)


async def _compare_orders(
    database: Database, account: TradedAccount, theirs: Sequence[VenueOrder]
) -> Comparison:
    async with database.begin() as tx:
        ours = await read_booked_orders(tx, account)
        elsewhere = await read_booked_elsewhere(tx, account)
        tag = await read_tag(tx)
    return compare_orders(ours, theirs, tag=tag, elsewhere=elsewhere)
