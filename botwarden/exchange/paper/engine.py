"""The engine: orders become fills, fills become balances, and all of it goes to the store as one change.

Synchronous: nothing happens between the check of a balance and its use. Each change is handed to the
store at once and whole, then told to who hears of the account; who answers for it waits for
`Store.settled` first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import asdict

from botwarden.exchange.paper import changes
from botwarden.exchange.paper.accounts import Account, Accounts, Holding
from botwarden.exchange.paper.admission import admit, book_of
from botwarden.exchange.paper.amounts import floor_to
from botwarden.exchange.paper.book import Book
from botwarden.exchange.paper.bookkeeping import exchange, need, release, set_aside
from botwarden.exchange.paper.errors import cancel_rejected, rejected
from botwarden.exchange.paper.expiry import EXPIRIES, Cause, Expiry
from botwarden.exchange.paper.fees import fee
from botwarden.exchange.paper.instruments import split_symbol
from botwarden.exchange.paper.limits import MAKER_GIVES_BACK, TAKER_GIVES_BACK
from botwarden.exchange.paper.market import Market, SymbolMarket, Trade
from botwarden.exchange.paper.matching import Take, crosses, from_book, paid_by
from botwarden.exchange.paper.new_order import NewOrder
from botwarden.exchange.paper.order_types import is_triggered
from botwarden.exchange.paper.records import ListRecord, OrderRecord, TradeRecord
from botwarden.exchange.paper.reports import ENDS, Feed
from botwarden.exchange.paper.store import Store
from botwarden.exchange.paper.transaction import Transaction

_CANCELED = Expiry("CANCELED")
_OCO_TRIGGER = Expiry(reason="OCO_TRIGGER")


class Engine:
    """All accounts and all books of one exchange."""

    def __init__(self, market: Market, kept: Store, starting_balances: Mapping[str, int]) -> None:
        self.market = market
        self.accounts = Accounts()
        self.feed = Feed()
        #: Called with account, orders given back and time when an order on the book is filled first.
        self.on_first_fill: Callable[[int, int, int], None] = lambda _account_id, _given, _now_ms: None
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
        held = (
            changes.put_balance(account.account_id, asset, holding.free, holding.locked)
            for asset, holding in account.holdings.items()
        )
        self._store.write([changes.put_account(account.account_id, api_key, secret_key), *held])
        return account

    def reset(self, account: Account, balances: Mapping[str, int] | None, now_ms: int) -> None:
        """Take the account's orders off the book and let it hold this; its history stays."""
        wanted = self._starting if balances is None else balances
        change = Transaction(account, {*account.holdings, *wanted}, now_ms, self.feed)
        for order in [*account.open_orders.values()]:
            self._end(change, order, _CANCELED)
        account.open_lists.clear()
        account.holdings = {asset: Holding(free) for asset, free in wanted.items()}
        account.updated_ms = now_ms
        self._commit(change)

    def burn_bnb(self, account: Account, *, burns: bool) -> None:
        """Let the account pay commissions in BNB, or no longer."""
        account.burns_bnb = burns
        self._store.write([changes.put_settings(account.account_id, burns_bnb=burns)])

    def move(self, account: Account, asset: str, change: int, now_ms: int) -> None:
        """Add to what the account has free, or take away. No more than there is."""
        moved = Transaction(account, [asset], now_ms, self.feed)
        moved.moved(asset, change)
        self._commit(moved)

    # Orders

    def place(self, account: Account, wish: NewOrder, now_ms: int) -> tuple[OrderRecord, list[TradeRecord]]:
        """Execute an order, or put its rest on the book.

        Raises:
            ApiError: it is refused, and nothing has changed.
        """
        takes, enough = self.try_out(account, wish)
        change = self._begin(account, wish.symbol, now_ms)
        order = self._new_order(change, wish)
        if wish.waits:
            self._rest(account, order)
        else:
            self._execute(change, order, takes, enough=enough)
        self._commit(change)
        return order, change.trades

    def place_list(
        self, account: Account, wishes: Sequence[NewOrder], client_list_id: str, now_ms: int
    ) -> tuple[ListRecord, list[OrderRecord]]:
        """Put two orders on the book of which only one happens; the dearer one sets aside for both.

        Raises:
            ApiError: it is refused, and nothing has changed.
        """
        if any(listed.client_list_id == client_list_id for listed in account.open_lists.values()):
            raise rejected("Duplicate order sent.")
        admit(self.market, account, wishes)
        name = wishes[0].symbol
        change = self._begin(account, name, now_ms)
        next_id = self._next_order_id.get(name, 1)
        listed = ListRecord(
            list_id=self._next_list_id,
            account_id=account.account_id,
            client_list_id=client_list_id,
            symbol=name,
            order_ids=(next_id, next_id + 1),
            created_ms=now_ms,
        )
        self._next_list_id += 1
        account.open_lists[listed.list_id] = listed
        change.new_list(listed)
        legs = [self._new_order(change, wish, list_id=listed.list_id) for wish in wishes]
        for leg in legs:
            self._put_on_book(account, leg)
        set_aside(account, max(legs, key=need))
        change.list_stands(listed, legs, is_done=False)
        self._commit(change)
        return listed, legs

    def try_out(self, account: Account, wish: NewOrder) -> tuple[list[Take], bool]:
        """Return what an order would take from the book, and whether the book has enough.

        Raises:
            ApiError: it would be refused.
        """
        return admit(self.market, account, [wish])[0]

    def cancel(
        self, account: Account, order: OrderRecord, now_ms: int, *, cancel_id: str = ""
    ) -> list[OrderRecord]:
        """Take an order off the book, with the other leg of its list; returns both, this one first.

        Raises:
            ApiError: it is not there any more.
        """
        known = account.open_orders.get((order.symbol, order.order_id))
        if known is None:
            raise cancel_rejected()
        change = self._begin(account, known.symbol, now_ms)
        ended = self._end_all(change, known, _CANCELED, cancel_id=cancel_id)
        self._commit(change)
        return ended

    def expire(self, account: Account, order: OrderRecord, cause: Cause, now_ms: int) -> None:
        """Take an open order off the book for a cause of the venue's own, with its list."""
        if order.is_open:
            change = self._begin(account, order.symbol, now_ms)
            self._end_all(change, order, EXPIRIES[cause])
            self._commit(change)

    def on_trade(self, trade: Trade) -> None:
        """Trigger and fill the orders that a price of the market reaches.

        A price beyond a limit has gone through all that was there; at the limit there is no more to be had
        than was traded, and the oldest order has it first.
        """
        resting = self._resting.get(trade.symbol)
        if not resting:
            return
        left = floor_to(trade.quantity, self.market.symbols[trade.symbol].instrument.step)
        for order in list(resting.values()):
            if not order.is_open:
                continue  # A neighbour's fill has ended it.
            if order.waits:
                if is_triggered(order.type, is_buy=order.is_buy, stop=order.stop_price, price=trade.price):
                    self._trigger(order, trade.time_ms)
            elif crosses(is_buy=order.is_buy, limit=order.price, price=trade.price):
                is_beyond = trade.price != order.price
                filled = order.rest if is_beyond else min(left, order.rest)
                left -= 0 if is_beyond else filled
                if filled:
                    self._fill_resting(order, filled, trade.time_ms)

    def book(self, symbol: SymbolMarket) -> Book:
        """Return the present book. The symbol has a price."""
        return book_of(symbol)

    # What happens to one

    def _new_order(self, change: Transaction, wish: NewOrder, *, list_id: int = -1) -> OrderRecord:
        order_id = self._next_order_id.get(wish.symbol, 1)
        self._next_order_id[wish.symbol] = order_id + 1
        order = OrderRecord(
            order_id=order_id,
            account_id=change.account.account_id,
            status="NEW",
            created_ms=change.now_ms,
            updated_ms=change.now_ms,
            list_id=list_id,
            **asdict(wish),
        )
        change.order(order, "NEW")
        return order

    def _execute(
        self,
        change: Transaction,
        order: OrderRecord,
        takes: list[Take],
        *,
        enough: bool,
        expiry: Expiry | None = None,
    ) -> None:
        """Let an order take from the book; its rest stays there, or expires."""
        symbol = self.market.symbols[order.symbol]
        takes, cut_off = symbol.reach.cut(takes, symbol.price or 0)
        if cut_off is not None:
            takes, enough, expiry = [] if order.time_in_force == "FOK" else takes, False, cut_off
        if order.quote_quantity:
            order.quantity = sum(fill.quantity for fill in takes)
        symbol.take_from_book(sum(fill.quantity for fill in takes), is_buy=order.is_buy)
        for number, fill in enumerate(takes, 1):
            self._fill(change, order, fill, is_last=enough and number == len(takes), is_maker=False)
        expiry = expiry or _expiry_of_rest(order)
        if expiry is not None:
            self._end(change, order, expiry)
        elif order.is_open:
            self._rest(change.account, order)
        else:
            self._forget(change.account, order)

    def _fill(
        self, change: Transaction, order: OrderRecord, fill: Take, *, is_last: bool, is_maker: bool
    ) -> None:
        """Book one execution."""
        symbol, account = self.market.symbols[order.symbol], change.account
        exchange(account, order, fill)
        amount, asset = fee(self.market, account, symbol.instrument, fill, is_buy=order.is_buy)
        account.holding(asset).free -= amount
        order.status = "FILLED" if is_last else "PARTIALLY_FILLED"
        trade = TradeRecord(
            symbol=order.symbol,
            trade_id=symbol.take_trade_id(),
            order_id=order.order_id,
            account_id=account.account_id,
            price=fill.price,
            quantity=fill.quantity,
            quote_quantity=fill.quote,
            commission=amount,
            commission_asset=asset,
            time_ms=change.now_ms,
            is_buyer=order.is_buy,
            is_maker=is_maker,
            list_id=order.list_id,
        )
        change.order(order, "TRADE", trade=trade)

    def _fill_resting(self, order: OrderRecord, quantity: int, now_ms: int) -> None:
        account = self.accounts.by_id[order.account_id]
        change = self._begin(account, order.symbol, now_ms)
        if not order.executed:
            self.on_first_fill(account.account_id, MAKER_GIVES_BACK, now_ms)
            self._end_others(change, order, _OCO_TRIGGER)
            set_aside(account, order)
        is_last = quantity == order.rest
        self._fill(change, order, Take(order.price, quantity), is_last=is_last, is_maker=True)
        if is_last:
            self._forget(account, order)
        self._commit(change)

    def _trigger(self, order: OrderRecord, now_ms: int) -> None:
        """Let an order that has waited work; a purchase goes as far as its account can pay."""
        account = self.accounts.by_id[order.account_id]
        symbol = self.market.symbols[order.symbol]
        change = self._begin(account, order.symbol, now_ms)
        self._end_others(change, order, _OCO_TRIGGER)
        release(account, order)
        order.triggered_ms = now_ms
        change.order(order, "NEW")
        takes, enough = from_book(
            self.book(symbol), is_buy=order.is_buy, limit=order.price, quantity=order.quantity
        )
        if order.time_in_force == "FOK" and not enough:
            takes = []
        expiry = None
        if order.is_buy:
            free = account.holding(symbol.instrument.quote).free
            paid = paid_by(takes, free, symbol.instrument.step)
            if paid != takes:
                takes, enough, expiry = paid, False, Expiry(reason="REJECTED")
        self._execute(change, order, takes, enough=enough, expiry=expiry)
        if change.trades:
            self.on_first_fill(account.account_id, TAKER_GIVES_BACK, now_ms)
        self._commit(change)

    def _end_all(
        self, change: Transaction, order: OrderRecord, expiry: Expiry, *, cancel_id: str = ""
    ) -> list[OrderRecord]:
        """End an order and the other leg of its list."""
        self._end(change, order, expiry, cancel_id=cancel_id)
        return [order, *self._end_others(change, order, expiry, cancel_id=cancel_id)]

    def _end_others(
        self, change: Transaction, order: OrderRecord, expiry: Expiry, *, cancel_id: str = ""
    ) -> list[OrderRecord]:
        """End the other leg of an order's list, and so the list, if both stand."""
        listed = change.account.open_lists.pop(order.list_id, None)
        if listed is None:
            return []
        others = [leg for leg in change.account.legs_of(listed) if leg is not order]
        for leg in others:
            self._end(change, leg, expiry, cancel_id=cancel_id)
        change.list_stands(listed, [order, *others], is_done=True)
        return others

    def _end(self, change: Transaction, order: OrderRecord, expiry: Expiry, *, cancel_id: str = "") -> None:
        release(change.account, order)
        order.status = expiry.status
        order.expiry_reason = expiry.reason or None
        self._forget(change.account, order)
        change.order(order, ENDS[expiry.status], cancel_id=cancel_id)

    def _rest(self, account: Account, order: OrderRecord) -> None:
        set_aside(account, order)
        self._put_on_book(account, order)

    def _put_on_book(self, account: Account, order: OrderRecord) -> None:
        account.put_on_book(order)
        self._resting.setdefault(order.symbol, {})[order.order_id] = order

    def _forget(self, account: Account, order: OrderRecord) -> None:
        account.take_off_book(order)
        self._resting.get(order.symbol, {}).pop(order.order_id, None)

    # Store

    def _begin(self, account: Account, symbol: str, now_ms: int) -> Transaction:
        return Transaction(account, split_symbol(symbol), now_ms, self.feed)

    def _commit(self, change: Transaction) -> None:
        self._store.write(change.statements())
        if told := change.told():
            self.feed.tell(change.account.account_id, told)

    def _recall(self) -> None:
        """Take up what the store has kept."""
        for account_id, api_key, secret_key in self._store.accounts():
            self.accounts.add(Account(account_id, api_key, secret_key))
        for account_id, burns_bnb in self._store.settings():
            self.accounts.by_id[account_id].burns_bnb = burns_bnb
        for account_id, asset, free, locked in self._store.balances():
            self.accounts.by_id[account_id].holdings[asset] = Holding(free, locked)
        for order in self._store.open_orders():
            self._put_on_book(self.accounts.by_id[order.account_id], order)
        self._recall_lists()

    def _recall_lists(self) -> None:
        for account in self.accounts.by_id.values():
            ids: Iterable[int] = {order.list_id for order in account.open_orders.values()} - {-1}
            for list_id in ids:
                listed = self._store.list_by_id(account.account_id, list_id)
                if listed is not None and len(account.legs_of(listed)) == len(listed.order_ids):
                    account.open_lists[list_id] = listed


def _expiry_of_rest(order: OrderRecord) -> Expiry | None:
    """Return how the rest of an order ends that does not stay on the book; None if it stays."""
    if order.status == "FILLED":
        return None
    if order.works_as == "MARKET":
        return Expiry(reason="INSUFFICIENT_LIQUIDITY")
    reasons = {"IOC": "UNFILLED_IOC_QUANTITY_EXPIRED", "FOK": "UNFILLED_FOK_ORDER_EXPIRED"}
    reason = reasons.get(order.time_in_force)
    return None if reason is None else Expiry(reason=reason)
