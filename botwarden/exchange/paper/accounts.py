"""The accounts as they are in memory: keys, balances, orders on the book.

The invariant: free and locked are never negative; what is locked is what open orders set aside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from botwarden.exchange.paper.errors import insufficient_balance
from botwarden.exchange.paper.records import ListRecord, OrderRecord


@dataclass(slots=True)
class Holding:
    """What an account has of one asset, in units."""

    free: int = 0
    locked: int = 0


@dataclass(slots=True)
class Account:
    """One API key and what belongs to it."""

    account_id: int
    api_key: str
    #: Of an HMAC, or a public key as PEM.
    secret_key: str = field(repr=False)
    holdings: dict[str, Holding] = field(default_factory=dict)
    #: Open orders by symbol and id.
    open_orders: dict[tuple[str, int], OrderRecord] = field(default_factory=dict)
    #: Symbol and client order id of the open orders.
    open_client_ids: set[tuple[str, str]] = field(default_factory=set)
    #: Lists of which both legs stand, by id.
    open_lists: dict[int, ListRecord] = field(default_factory=dict)
    #: Whether commissions are paid in BNB, at a discount, while there is enough.
    burns_bnb: bool = False
    updated_ms: int = 0

    def holding(self, asset: str) -> Holding:
        """Return what there is of an asset."""
        return self.holdings.setdefault(asset, Holding())

    def require(self, asset: str, amount: int) -> None:
        """Refuse unless so much is free."""
        if self.holding(asset).free < amount:
            raise insufficient_balance()

    def lock(self, asset: str, amount: int) -> None:
        """Set aside for an open order."""
        holding = self.holding(asset)
        holding.free -= amount
        holding.locked += amount

    def unlock(self, asset: str, amount: int) -> None:
        """Give back what was set aside."""
        self.lock(asset, -amount)

    def put_on_book(self, order: OrderRecord) -> None:
        """Remember an open order."""
        self.open_orders[order.symbol, order.order_id] = order
        self.open_client_ids.add((order.symbol, order.client_order_id))

    def take_off_book(self, order: OrderRecord) -> None:
        """Forget an order that is final."""
        if self.open_orders.pop((order.symbol, order.order_id), None) is not None:
            self.open_client_ids.discard((order.symbol, order.client_order_id))

    def orders_of(self, symbol: str) -> list[OrderRecord]:
        """Return the open orders of one symbol, oldest first."""
        return [order for order in self.open_orders.values() if order.symbol == symbol]

    def legs_of(self, listed: ListRecord) -> list[OrderRecord]:
        """Return the legs of a list that are open."""
        keys = ((listed.symbol, order_id) for order_id in listed.order_ids)
        return [self.open_orders[key] for key in keys if key in self.open_orders]


class Accounts:
    """All accounts by key and id."""

    def __init__(self) -> None:
        self.by_key: dict[str, Account] = {}
        self.by_id: dict[int, Account] = {}

    def add(self, account: Account) -> None:
        """Remember an account."""
        self.by_key[account.api_key] = account
        self.by_id[account.account_id] = account

    def create(self, api_key: str, secret_key: str, balances: Mapping[str, int]) -> Account:
        """Return a new account that holds this."""
        account = Account(max(self.by_id, default=0) + 1, api_key, secret_key)
        account.holdings = {asset: Holding(free) for asset, free in balances.items()}
        self.add(account)
        return account
