"""Whether orders may be: the market is open, the id is free, the book has room, and the account can pay.

Looks, and changes nothing. The invariant: what is admitted can be executed at this moment without anybody
going below zero.
"""

from collections.abc import Sequence

from botwarden.exchange.paper import filters
from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.amounts import cost
from botwarden.exchange.paper.book import Book
from botwarden.exchange.paper.errors import market_closed, rejected
from botwarden.exchange.paper.market import Market, SymbolMarket
from botwarden.exchange.paper.matching import Take, from_book
from botwarden.exchange.paper.new_order import NewOrder
from botwarden.exchange.paper.order_types import is_triggered


def book_of(symbol: SymbolMarket) -> Book:
    """Return the present book. The symbol has a price."""
    book = symbol.book()
    if book is None:
        raise market_closed()
    return book


def admit(market: Market, account: Account, wishes: Sequence[NewOrder]) -> list[tuple[list[Take], bool]]:
    """Return what each would take from the book, and whether the book has enough.

    Several are the legs of a list, of which only one happens.

    Raises:
        ApiError: one would be refused.
    """
    name = wishes[0].symbol
    symbol = market.symbols[name]
    if not symbol.is_open:
        raise market_closed()
    ids = {(name, wish.client_order_id) for wish in wishes}
    if len(ids) < len(wishes) or ids & account.open_client_ids:
        raise rejected("Duplicate order sent.")
    _check_room(account, symbol, wishes)
    book = book_of(symbol)
    tried = [_try(book, wish) for wish in wishes]
    needed = max(_needed(wish, takes) for wish, (takes, _) in zip(wishes, tried, strict=True))
    account.require(symbol.instrument.quote if wishes[0].is_buy else symbol.instrument.base, needed)
    return [
        ([] if wish.time_in_force == "FOK" and not enough else takes, enough)
        for wish, (takes, enough) in zip(wishes, tried, strict=True)
    ]


def _check_room(account: Account, symbol: SymbolMarket, wishes: Sequence[NewOrder]) -> None:
    """Refuse more orders than may be open, here and everywhere, and more than may be held."""
    here = account.orders_of(symbol.instrument.symbol)
    adds = {
        "new": len(wishes),
        "stops": sum(wish.waits for wish in wishes),
        "lists": int(len(wishes) > 1),
    }
    filters.check_open(here, **adds, icebergs=sum(wish.iceberg > 0 for wish in wishes))
    filters.check_everywhere(account.open_orders.values(), **adds)
    if wishes[0].is_buy:
        held = account.holding(symbol.instrument.base)
        filters.check_position(
            symbol.instrument,
            held=held.free + held.locked,
            buying=sum(order.rest for order in here if order.is_buy),
            new=wishes[0].quantity,
        )


def _try(book: Book, wish: NewOrder) -> tuple[list[Take], bool]:
    if wish.waits:
        if is_triggered(wish.type, is_buy=wish.is_buy, stop=wish.stop_price, price=book.price):
            raise rejected("Order would trigger immediately.")
        return [], False
    takes, enough = from_book(
        book, is_buy=wish.is_buy, limit=wish.price, quantity=wish.quantity, quote=wish.quote_quantity
    )
    if wish.type == "LIMIT_MAKER" and takes:
        raise rejected("Order would immediately match and take.")
    return takes, enough


def _needed(wish: NewOrder, takes: list[Take]) -> int:
    """Return what the account has to have for an order, in the asset that it gives away."""
    if not wish.is_buy:
        return wish.quantity or sum(fill.quantity for fill in takes)
    # A rest on the book is paid at its limit, and so is set aside at it.
    reference = wish.price or wish.stop_price
    needed = cost(reference, wish.quantity) if reference else sum(fill.quote for fill in takes)
    return max(needed, wish.quote_quantity)
