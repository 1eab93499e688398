"""Holds an account's balances against what moved them: fills of ours, of others, and whatever else there was.

Pure: the callers read both sides. What bots hold must be there; a balance that no execution explains was paid
in or out by its owner (or traded on a symbol that no bot knows): it is named as foreign and is no difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from botwarden.trading.bot import ZERO, BotId
from botwarden.trading.instruments import Instrument
from botwarden.trading.ledger import VenueOrder
from botwarden.trading.money import BOOKS, total
from botwarden.trading.orders import Side


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What a bot's row says it holds, and which version of the row says so."""

    bot_id: BotId
    version: int
    symbol: str
    held_base: Decimal


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One asset of an account."""

    asset: str
    #: Free and locked.
    present: Decimal
    held_by_bots: Decimal
    #: What neither our executions nor others' on the same symbols explain; negative if it went away.
    foreign: Decimal

    @property
    def is_short(self) -> bool:
        """Whether bots hold what is not there."""
        return self.held_by_bots > self.present


def steady(before: Iterable[Position], after: Iterable[Position]) -> list[Position]:
    """Return the positions that were the same all the while: what they say was true in between."""
    same = set(before)
    return [position for position in after if position in same]


def holdings(
    listed: Mapping[str, Instrument],
    present: Mapping[str, Decimal],
    orders: Mapping[str, Sequence[VenueOrder]],
    positions: Iterable[Position],
) -> list[Holding]:
    """Return each asset that the account has, has moved, or owes to a bot, by name.

    `present` is by asset, `listed` and `orders` (all that the account has made on the symbol) are by symbol.
    A symbol that is not listed any more has no assets that we know of: it moves and holds nothing.
    """
    moved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for symbol in orders.keys() & listed.keys():
        for order in orders[symbol]:
            for asset, change in _movements(listed[symbol], order):
                moved[asset] = BOOKS.add(moved[asset], change)
    held: defaultdict[str, list[Decimal]] = defaultdict(list)
    for position in positions:
        if position.symbol in listed:
            held[listed[position.symbol].base_asset].append(position.held_base)
    return [
        Holding(
            asset=asset,
            present=present.get(asset, ZERO),
            held_by_bots=total(held[asset]),
            foreign=BOOKS.subtract(present.get(asset, ZERO), moved[asset]),
        )
        for asset in sorted(present.keys() | moved.keys() | held.keys())
    ]


def _movements(instrument: Instrument, order: VenueOrder) -> Iterator[tuple[str, Decimal]]:
    """Yield each asset with what the order's fills have changed of it."""
    buys = order.side == Side.BUY
    for fill in order.fills:
        yield instrument.base_asset, fill.quantity_base if buys else -fill.quantity_base
        yield instrument.quote_asset, -fill.quantity_quote if buys else fill.quantity_quote
        yield fill.commission_asset, -fill.commission
