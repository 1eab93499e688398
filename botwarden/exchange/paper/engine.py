"""The engine: orders become fills, fills become balances, and all of it goes to the store as one change.

Synchronous: nothing happens between the check of a balance and its use. Each change is handed to the
store at once and whole; who answers for it waits for `Store.settled` first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from botwarden.exchange.paper import changes, filters
from botwarden.exchange.paper.accounts import Account, Accounts, Holding
from botwarden.exchange.paper.amounts import cost
from botwarden.exchange.paper.book import Book
from botwarden.exchange.paper.changes import Statement
from botwarden.exchange.paper.errors import cancel_rejected, market_closed, rejected
from botwarden.exchange.paper.instruments import split_symbol
from botwarden.exchange.paper.market import Market, SymbolMarket, Trade
from botwarden.exchange.paper.matching import Take, commission, crosses, take, take_quote, within
from botwarden.exchange.paper.records import OrderRecord, TradeRecord
from botwarden.exchange.paper.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order as it was asked for; form and filters have been checked."""

    symbol: str
    side: str
    type: str
    time_in_force: str
    client_order_id: str
    price: int = 0
    quantity: int = 0
    quote_quantity: int = 0

    @property
    def is_buy(self) -> bool:
        """Whether it buys the base asset."""
        return self.side == "BUY"


class Engine:
    """All accounts and all books of one exchange."""

    def __init__(self, market: Market, kept: Store, starting_balances: Mapping[str, int]) -> None:
        self.market = market
        self.accounts = Accounts()
        self._store = kept
        self._starting = dict(starting_balances)
        self._resting: dict[str, dict[int, OrderRecord]] = {}
        self._next_order_id = {symbol: last + 1 for symbol, last in kept.last_order_ids().items()}
        self._recall()

    # Accounts

    def register(self, api_key: str, secret_key: str, balances: Mapping[str, int] | None) -> Account | None:
        """Return the key's account, made if it is new; None when the key has another secret."""
        known = self.accounts.by_key.get(api_key)
        if known is not None:
            return known if known.secret_key == secret_key else None
        account = self.accounts.create(api_key, secret_key, self._starting if balances is None else balances)
        self._store.write(
            [
                changes.put_account(account.account_id, api_key, secret_key),
                *_holdings(account, account.holdings),
            ]
        )
        return account

    def reset(self, account: Account, balances: Mapping[str, int] | None, now_ms: int) -> None:
        """Take the account's orders off the book and let it hold this; its history stays."""
        written = [self._end(account, order, "CANCELED", now_ms) for order in [*account.open_orders.values()]]
        account.holdings = {
            asset: Holding(free) for asset, free in (self._starting if balances is None else balances).items()
        }
        account.updated_ms = now_ms
        self._store.write(
            [*written, changes.wipe_balances(account.account_id), *_holdings(account, account.holdings)]
        )

    # Orders

    def place(self, account: Account, wish: NewOrder, now_ms: int) -> tuple[OrderRecord, list[TradeRecord]]:
        """Execute an order, or put its rest on the book.

        Raises:
            ApiError: it is refused, and nothing has changed.
        """
        takes, enough = self.try_out(account, wish)
        order = self._new_record(account, wish, now_ms)
        trades = [self._fill(account, order, fill, now_ms, is_maker=False) for fill in takes]
        _conclude(order, enough=enough)
        if order.is_open:
            self._rest(account, order)
        self._write(account, order, trades)
        return order, trades

    def try_out(self, account: Account, wish: NewOrder) -> tuple[list[Take], bool]:
        """Return what an order would take from the book, and whether the book has enough.

        Raises:
            ApiError: it would be refused.
        """
        symbol = self.market.symbols[wish.symbol]
        if not symbol.is_open:
            raise market_closed()
        if (wish.symbol, wish.client_order_id) in account.open_client_ids:
            raise rejected("Duplicate order sent.")
        open_here = sum(name == wish.symbol for name, _ in account.open_orders)
        filters.check_open_orders(open_here)
        takes, enough = _takes(self.book(symbol), wish)
        if wish.type == "LIMIT_MAKER" and takes:
            raise rejected("Order would immediately match and take.")
        self._require_funds(account, symbol, wish, takes)
        return ([] if wish.time_in_force == "FOK" and not enough else takes), enough

    def cancel(self, account: Account, order: OrderRecord, now_ms: int) -> OrderRecord:
        """Take an order off the book.

        Raises:
            ApiError: it is not there any more.
        """
        known = account.open_orders.get((order.symbol, order.order_id))
        if known is None:
            raise cancel_rejected()
        written = self._end(account, known, "CANCELED", now_ms)
        self._store.write([written, *_holdings(account, split_symbol(known.symbol))])
        return known

    def expire(self, account: Account, order: OrderRecord, reason: str, now_ms: int) -> None:
        """Take an open order off the book for a reason of the venue's own."""
        order.expiry_reason = reason
        written = self._end(account, order, "EXPIRED", now_ms)
        self._store.write([written, *_holdings(account, split_symbol(order.symbol))])

    def on_trade(self, trade: Trade) -> None:
        """Fill the resting orders that a price of the market reaches."""
        resting = self._resting.get(trade.symbol)
        if not resting:
            return
        for order in list(resting.values()):
            if crosses(is_buy=order.is_buy, limit=order.price, price=trade.price):
                self._fill_resting(order, trade.time_ms)

    def book(self, symbol: SymbolMarket) -> Book:
        """Return the present book. The symbol has a price."""
        if symbol.price is None:
            raise market_closed()
        return Book(symbol.instrument, symbol.price, symbol.next_trade_id)

    # Inside

    def _new_record(self, account: Account, wish: NewOrder, now_ms: int) -> OrderRecord:
        order_id = self._next_order_id.get(wish.symbol, 1)
        self._next_order_id[wish.symbol] = order_id + 1
        return OrderRecord(
            symbol=wish.symbol,
            order_id=order_id,
            account_id=account.account_id,
            client_order_id=wish.client_order_id,
            side=wish.side,
            type=wish.type,
            time_in_force=wish.time_in_force,
            status="NEW",
            price=wish.price,
            quantity=wish.quantity,
            quote_quantity=wish.quote_quantity,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    def _require_funds(
        self, account: Account, symbol: SymbolMarket, wish: NewOrder, takes: list[Take]
    ) -> None:
        rules = symbol.instrument
        if wish.is_buy:
            # A resting rest is paid at its limit, and so is set aside at it.
            needed = cost(wish.price, wish.quantity) if wish.price else sum(fill.quote for fill in takes)
            account.require(rules.quote, max(needed, wish.quote_quantity))
        else:
            sold = wish.quantity or sum(fill.quantity for fill in takes)
            account.require(rules.base, sold)

    def _fill(
        self, account: Account, order: OrderRecord, fill: Take, now_ms: int, *, is_maker: bool
    ) -> TradeRecord:
        """Book one execution."""
        symbol = self.market.symbols[order.symbol]
        base, quote = symbol.instrument.base, symbol.instrument.quote
        paid, received = (quote, base) if order.is_buy else (base, quote)
        gave, got = (fill.quote, fill.quantity) if order.is_buy else (fill.quantity, fill.quote)
        fee = commission(got)
        if is_maker:
            account.unlock(paid, gave)
            order.locked -= gave
        account.holding(paid).free -= gave
        account.holding(received).free += got - fee
        order.executed += fill.quantity
        order.executed_quote += fill.quote
        order.updated_ms = account.updated_ms = now_ms
        return TradeRecord(
            symbol=order.symbol,
            trade_id=symbol.take_trade_id(),
            order_id=order.order_id,
            account_id=order.account_id,
            price=fill.price,
            quantity=fill.quantity,
            quote_quantity=fill.quote,
            commission=fee,
            commission_asset=received,
            time_ms=now_ms,
            is_buyer=order.is_buy,
            is_maker=is_maker,
        )

    def _rest(self, account: Account, order: OrderRecord) -> None:
        rules = self.market.symbols[order.symbol].instrument
        rest = order.quantity - order.executed
        order.locked = cost(order.price, rest) if order.is_buy else rest
        account.lock(rules.quote if order.is_buy else rules.base, order.locked)
        account.put_on_book(order)
        self._resting.setdefault(order.symbol, {})[order.order_id] = order

    def _fill_resting(self, order: OrderRecord, now_ms: int) -> None:
        account = self.accounts.by_id[order.account_id]
        fill = Take(order.price, order.quantity - order.executed)
        trade = self._fill(account, order, fill, now_ms, is_maker=True)
        order.status = "FILLED"
        self._forget(account, order)
        self._write(account, order, [trade])

    def _end(self, account: Account, order: OrderRecord, status: str, now_ms: int) -> Statement:
        base, quote = split_symbol(order.symbol)
        account.unlock(quote if order.is_buy else base, order.locked)
        order.locked = 0
        order.status = status
        order.updated_ms = account.updated_ms = now_ms
        self._forget(account, order)
        return changes.put_order(order)

    def _forget(self, account: Account, order: OrderRecord) -> None:
        account.take_off_book(order)
        self._resting.get(order.symbol, {}).pop(order.order_id, None)

    def _write(self, account: Account, order: OrderRecord, trades: list[TradeRecord]) -> None:
        self._store.write(
            [
                changes.put_order(order),
                *(changes.put_trade(trade) for trade in trades),
                *_holdings(account, split_symbol(order.symbol)),
            ]
        )

    def _recall(self) -> None:
        """Take up what the store has kept."""
        for account_id, api_key, secret_key in self._store.accounts():
            self.accounts.add(Account(account_id, api_key, secret_key))
        for account_id, asset, free, locked in self._store.balances():
            self.accounts.by_id[account_id].holdings[asset] = Holding(free, locked)
        for order in self._store.open_orders():
            self.accounts.by_id[order.account_id].put_on_book(order)
            if order.symbol in self.market.symbols:
                self._resting.setdefault(order.symbol, {})[order.order_id] = order


def _conclude(order: OrderRecord, *, enough: bool) -> None:
    """Say how an order stands after it has taken from the book."""
    if order.quote_quantity:
        order.quantity = order.executed
    if enough and order.executed and order.executed == order.quantity:
        order.status = "FILLED"
    elif order.type == "MARKET":
        order.status, order.expiry_reason = "EXPIRED", "INSUFFICIENT_LIQUIDITY"
    elif order.time_in_force == "IOC":
        order.status, order.expiry_reason = "EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED"
    elif order.time_in_force == "FOK":
        order.status, order.expiry_reason = "EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED"
    elif order.executed:
        order.status = "PARTIALLY_FILLED"


def _takes(book: Book, wish: NewOrder) -> tuple[list[Take], bool]:
    levels = book.asks() if wish.is_buy else book.bids()
    if wish.quote_quantity:
        return take_quote(levels, wish.quote_quantity, book.instrument.step)
    if wish.price:
        levels = iter(within(levels, limit=wish.price, is_buy=wish.is_buy))
    takes = take(levels, wish.quantity)
    return takes, sum(fill.quantity for fill in takes) == wish.quantity


def _holdings(account: Account, assets: Mapping[str, Holding] | tuple[str, ...]) -> list[Statement]:
    return [
        changes.put_balance(account.account_id, asset, held.free, held.locked)
        for asset, held in ((asset, account.holding(asset)) for asset in assets)
    ]
