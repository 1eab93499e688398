"""What an account is told of its orders as it happens: reports as values, and who hears them.

Every change of an order is reported, also one that nobody asked for: a trigger, a fill on the book, an
expiry. A report is made when the engine has changed and before that is on disk: who passes it on waits for
`Store.settled` first. Reports show orders as they were then; nothing that is reported changes afterwards.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from botwarden.exchange.paper.records import ListRecord, OrderRecord, TradeRecord

Execution = Literal["NEW", "CANCELED", "REPLACED", "REJECTED", "TRADE", "EXPIRED", "TRADE_PREVENTION"]

#: How the end of an order without a fill is told, by the status that it has then.
ENDS: dict[str, Execution] = {
    "CANCELED": "CANCELED",
    "EXPIRED": "EXPIRED",
    "EXPIRED_IN_MATCH": "TRADE_PREVENTION",
}


class OrderReport(NamedTuple):
    """An order is new, has traded, or is over."""

    order: OrderRecord
    execution: Execution
    #: The execution of a TRADE.
    trade: TradeRecord | None
    #: The client's id of the request that cancelled it; empty when nobody has.
    cancel_id: str
    #: Later reports have higher ones.
    report_id: int
    time_ms: int


class ListReport(NamedTuple):
    """A list stands, or is done."""

    listed: ListRecord
    legs: tuple[OrderRecord, ...]
    is_done: bool
    time_ms: int


class BalancesReport(NamedTuple):
    """What an account holds of the assets that an order may have changed: free and locked, in units."""

    balances: Mapping[str, tuple[int, int]]
    time_ms: int


class MovedReport(NamedTuple):
    """Something came to an account, or went, without an order."""

    asset: str
    change: int
    time_ms: int


Report = OrderReport | ListReport | BalancesReport | MovedReport

#: Called with the reports of one change, in their order; must not wait and must not raise.
Listener = Callable[[Sequence[Report]], None]

#: How a venue may end what was listened to. Terminated: it says so; forgotten: it says nothing; revoked: it
#: says that the key is no longer valid.
Cut = Literal["terminated", "forgotten", "revoked"]


class Feed:
    """Who hears of which account."""

    def __init__(self) -> None:
        self._listeners: defaultdict[int, list[Listener]] = defaultdict(list)
        self._cuts: dict[Listener, Callable[[Cut], None]] = {}
        self._last_report_id = 0

    def listen(
        self, account_id: int, listener: Listener, on_cut: Callable[[Cut], None] | None = None
    ) -> Callable[[], None]:
        """Let somebody hear of an account from now on; returns what ends it.

        `on_cut` is called when the venue ends it by itself.
        """
        listeners = self._listeners[account_id]
        listeners.append(listener)
        if on_cut is not None:
            self._cuts[listener] = on_cut

        def end() -> None:
            self._cuts.pop(listener, None)
            if listener in listeners:
                listeners.remove(listener)

        return end

    def cut(self, account_id: int, how: Cut) -> int:
        """Let everybody who hears of an account hear no more; returns how many there were."""
        cut = [self._cuts[one] for one in [*self._listeners.get(account_id, ())] if one in self._cuts]
        for on_cut in cut:
            on_cut(how)
        return len(cut)

    def is_heard(self, account_id: int) -> bool:
        """Whether anybody hears of an account."""
        return bool(self._listeners.get(account_id))

    def tell(self, account_id: int, reports: Sequence[Report]) -> None:
        """Tell everybody who hears of an account."""
        for listener in [*self._listeners.get(account_id, ())]:
            listener(reports)

    def next_report_id(self, now_ms: int) -> int:
        """Return an id above all earlier ones, also those before a restart."""
        self._last_report_id = max(self._last_report_id + 1, now_ms * 1000)
        return self._last_report_id
