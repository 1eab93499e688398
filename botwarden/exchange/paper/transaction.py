"""One change of one account, gathered while it happens and then written and told as a whole.

The invariant: what is written together is what belongs together; an order is written as it stands at the
end of the change, and reported as it stood at each step.
"""

import copy
from collections.abc import Iterable, Mapping

from botwarden.exchange.paper import changes
from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.changes import Statement
from botwarden.exchange.paper.records import ListRecord, OrderRecord, TradeRecord
from botwarden.exchange.paper.reports import (
    BalancesReport,
    Execution,
    Feed,
    ListReport,
    MovedReport,
    OrderReport,
    Report,
)


class Transaction:
    """What happens to one account at one moment."""

    def __init__(self, account: Account, assets: Iterable[str], now_ms: int, feed: Feed) -> None:
        self.account = account
        self.now_ms = now_ms
        self.trades: list[TradeRecord] = []
        self.reports: list[Report] = []
        self._orders: dict[tuple[str, int], OrderRecord] = {}
        self._new_lists: list[ListRecord] = []
        self._assets = set(assets)
        self._feed = feed
        self._is_heard = feed.is_heard(account.account_id)

    def order(
        self,
        order: OrderRecord,
        execution: Execution,
        *,
        trade: TradeRecord | None = None,
        cancel_id: str = "",
    ) -> None:
        """An order has changed."""
        self._orders[order.symbol, order.order_id] = order
        order.updated_ms = self.account.updated_ms = self.now_ms
        if trade is not None:
            self.trades.append(trade)
            self._assets.add(trade.commission_asset)
        if self._is_heard:
            shown = copy.copy(order)
            report_id = self._feed.next_report_id(self.now_ms)
            self.reports.append(OrderReport(shown, execution, trade, cancel_id, report_id, self.now_ms))

    def new_list(self, listed: ListRecord) -> None:
        """A list is new; its legs are changes of their own."""
        self._new_lists.append(listed)

    def list_stands(self, listed: ListRecord, legs: list[OrderRecord], *, is_done: bool) -> None:
        """Report how a list stands now."""
        if self._is_heard:
            shown = tuple(copy.copy(leg) for leg in legs)
            self.reports.append(ListReport(listed, shown, is_done, self.now_ms))

    def moved(self, asset: str, change: int) -> None:
        """Something has come without an order, or gone."""
        self.account.holding(asset).free += change
        self.account.updated_ms = self.now_ms
        if self._is_heard:
            self.reports.append(MovedReport(asset, change, self.now_ms))

    def statements(self) -> list[Statement]:
        """Return what is to be written."""
        return [
            *(changes.put_list(listed) for listed in self._new_lists),
            *(changes.put_order(order) for order in self._orders.values()),
            *(changes.put_trade(trade) for trade in self.trades),
            *(
                changes.put_balance(self.account.account_id, asset, free, locked)
                for asset, (free, locked) in self._balances().items()
            ),
        ]

    def told(self) -> list[Report]:
        """Return what is to be told; nothing when nobody hears."""
        if not self._is_heard:
            return []
        return [*self.reports, BalancesReport(self._balances(), self.now_ms)]

    def _balances(self) -> Mapping[str, tuple[int, int]]:
        holdings = ((asset, self.account.holding(asset)) for asset in sorted(self._assets))
        return {asset: (held.free, held.locked) for asset, held in holdings}
