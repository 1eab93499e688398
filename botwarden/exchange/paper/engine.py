"""The engine: orders become fills, fills become balances, and all of it goes to the store as one change.

Synchronous: nothing happens between the check of a balance and its use. Each change is handed to the
store at once and whole; who answers for it waits for `Store.settled` first.
"""

from collections.abc import Mapping, Sequence
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
from botwarden.exchange.paper.records import ListRecord, OrderRecord, TradeRecord
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
    stop_price: int = 0

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
        self._next_list_id = kept.last_list_id() + 1
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

    def place_oco(
        self, account: Account, above: NewOrder, below: NewOrder, client_list_id: str, now_ms: int
    ) -> tuple[ListRecord, list[OrderRecord]]:
        """Put a limit above and a stop below the price on the book: two sales of the same coins.

        Raises:
            ApiError: it is refused, and nothing has changed.
        """
        symbol = self.market.symbols[above.symbol]
        here = [order for (name, _), order in account.open_orders.items() if name == above.symbol]
        filters.check_open_lists(
            lists=len({order.list_id for order in here} - {-1}), stops=sum(order.waits for order in here)
        )
        stands = (below.symbol, below.client_order_id) in account.open_client_ids
        if stands or below.client_order_id == above.client_order_id:
            raise rejected("Duplicate order sent.")
        self.try_out(account, above)
        if self.book(symbol).price <= below.stop_price:
            raise rejected("Order would trigger immediately.")
        listed = ListRecord(
            list_id=self._next_list_id,
            account_id=account.account_id,
            client_list_id=client_list_id,
            symbol=above.symbol,
            order_ids=(
                self._next_order_id.get(above.symbol, 1),
                self._next_order_id.get(above.symbol, 1) + 1,
            ),
            created_ms=now_ms,
        )
        self._next_list_id += 1
        legs = [self._new_record(account, wish, now_ms) for wish in (below, above)]
        for leg in legs:
            leg.list_id = listed.list_id
            self._rest(account, leg)
        self._store.write(
            [
                changes.put_list(listed),
                *(changes.put_order(leg) for leg in legs),
                *_holdings(account, split_symbol(above.symbol)),
            ]
        )
        return listed, legs

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
        written = [self._end(account, leg, "CANCELED", now_ms) for leg in [known, *_siblings(account, known)]]
        self._store.write([*written, *_holdings(account, split_symbol(known.symbol))])
        return known

    def expire(self, account: Account, order: OrderRecord, reason: str, now_ms: int) -> None:
        """Take an open order off the book for a reason of the venue's own."""
        legs = [order, *_siblings(account, order)]
        for leg in legs:
            leg.expiry_reason = reason
        written = [self._end(account, leg, "EXPIRED", now_ms) for leg in legs]
        self._store.write([*written, *_holdings(account, split_symbol(order.symbol))])

    def on_trade(self, trade: Trade) -> None:
        """Fill the resting orders that a price of the market reaches."""
        resting = self._resting.get(trade.symbol)
        if not resting:
            return
        for order in list(resting.values()):
            if order.waits:
                if trade.price <= order.stop_price:
                    self._trigger(order, trade.time_ms)
            elif order.is_open and crosses(is_buy=order.is_buy, limit=order.price, price=trade.price):
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
            stop_price=wish.stop_price,
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
        if order.waits:
            order.locked = 0  # The other leg has set the coins aside for both.
        account.lock(rules.quote if order.is_buy else rules.base, order.locked)
        account.put_on_book(order)
        self._resting.setdefault(order.symbol, {})[order.order_id] = order

    def _fill_resting(self, order: OrderRecord, now_ms: int) -> None:
        account = self.accounts.by_id[order.account_id]
        fill = Take(order.price, order.quantity - order.executed)
        trade = self._fill(account, order, fill, now_ms, is_maker=True)
        order.status = "FILLED"
        self._forget(account, order)
        self._write(account, order, [trade], also=self._end_siblings(account, order, now_ms))

    def _trigger(self, order: OrderRecord, now_ms: int) -> None:
        """Sell at market what the list had set aside."""
        account = self.accounts.by_id[order.account_id]
        ended = self._end_siblings(account, order, now_ms)
        takes = take(self.book(self.market.symbols[order.symbol]).bids(), order.quantity)
        trades = [self._fill(account, order, fill, now_ms, is_maker=False) for fill in takes]
        order.status = "FILLED" if order.executed == order.quantity else "EXPIRED"
        self._forget(account, order)
        self._write(account, order, trades, also=ended)

    def _end_siblings(self, account: Account, order: OrderRecord, now_ms: int) -> list[Statement]:
        written = []
        for leg in _siblings(account, order):
            leg.expiry_reason = "OCO_TRIGGER"
            written.append(self._end(account, leg, "EXPIRED", now_ms))
        return written

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

    def _write(
        self,
        account: Account,
        order: OrderRecord,
        trades: list[TradeRecord],
        *,
        also: Sequence[Statement] = (),
    ) -> None:
        self._store.write(
            [
                *also,
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


def _siblings(account: Account, order: OrderRecord) -> list[OrderRecord]:
    """Return the other open legs of the order's list."""
    if order.list_id < 0:
        return []
    legs = account.open_orders.values()
    return [leg for leg in legs if leg.list_id == order.list_id and leg.order_id != order.order_id]


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
