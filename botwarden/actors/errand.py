"""What an order asks of the venue, and what the venue has to say about it: one errand for each type.

    MarketErrand   place; find the order and its fills
    ListErrand     place a protective list; find it, at rest or ended, with the fills of its legs
    CancelErrand   take a list off; find how the list ended

An errand sends when it is told to and asks when it is told to; it never decides to do either again.
Whatever stands at the venue is adopted only when it is what we intended.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Protocol, assert_never

from botwarden.exchange.port import Account, Found, FoundList, NotFound, Unknown
from botwarden.trading.bot import ZERO
from botwarden.trading.orders import (
    Absent,
    Executed,
    Fill,
    ListEnded,
    Order,
    OrderStatus,
    OrderType,
    Outcome,
    Resting,
    Unexplained,
    stop_loss_id,
    take_profit_id,
)

#: Statuses after which the venue changes nothing more. Source: Binance spot API, enums, order status.
FINAL_STATUSES = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})

#: How far the venue's record may lie before our intent: its clock and ours differ a little.
CREATED_BEFORE_INTENT = timedelta(seconds=1)


class Errand(Protocol):
    """One order's dealings with the venue. Reads raise `Unavailable`."""

    async def send(self) -> Outcome | Unknown:
        """Send the request, once."""
        ...

    async def find(self) -> Outcome | NotFound | None:
        """Return how it ended; nothing while it has not, or while the venue's records lag behind."""
        ...

    async def is_listed(self) -> bool:
        """Return whether a list of the account shows it although the query does not."""
        ...

    def absent(self) -> Outcome:
        """Return what it means that it was proven never to have arrived."""
        ...


def errand_of(order: Order, listed: Order | None, account: Account) -> Errand:
    """Return the errand of an order; a cancel comes with the list that it is about."""
    match order.type:
        case OrderType.MARKET:
            return MarketErrand(order, account)
        case OrderType.OCO:
            return ListErrand(order, account)
        case OrderType.CANCEL:
            if listed is None:
                raise LookupError(f"{order.client_order_id} cancels a list that is not known")
            return CancelErrand(order, listed, account)
        case _ as never:
            assert_never(never)


class MarketErrand:
    """A market order: final as soon as it has arrived."""

    def __init__(self, order: Order, account: Account) -> None:
        self._order = order
        self._account = account

    async def send(self) -> Outcome | Unknown:
        return await self._account.place(self._order)

    async def find(self) -> Outcome | NotFound | None:
        order = self._order
        found = await self._account.find_order(order.symbol, order.client_order_id)
        if isinstance(found, NotFound):
            return found
        if (reason := self._not_ours(found)) is not None:
            return Unexplained(message=reason)
        fills = await _final_fills(self._account, found)
        if fills is None:
            return None
        status = OrderStatus.FILLED if found.status == "FILLED" else OrderStatus.EXPIRED
        return Executed(venue_order_id=found.venue_order_id, status=status, fills=fills)

    async def is_listed(self) -> bool:
        return await _is_listed(self._account, self._order, [self._order.client_order_id])

    def absent(self) -> Outcome:
        return Absent()

    def _not_ours(self, found: Found) -> str | None:
        order = self._order
        if (found.symbol, found.side) != (order.symbol, order.side.value):
            return f"{order.client_order_id} stands for {found.side} {found.symbol} at the venue"
        if order.quantity_base is not None and found.quantity_base != order.quantity_base:
            return f"{order.client_order_id} has size {found.quantity_base} at the venue"
        if order.quantity_quote is not None and found.quantity_quote != order.quantity_quote:
            return f"{order.client_order_id} has quote size {found.quantity_quote} at the venue"
        if found.created_at < order.intended_at - CREATED_BEFORE_INTENT:
            return f"{order.client_order_id} was placed before we intended it"
        return None


class ListErrand:
    """A protective list: it rests, or it has ended."""

    def __init__(self, order: Order, account: Account, *, urgent: bool = True) -> None:
        self._order = order
        self._account = account
        self._urgent = urgent

    async def send(self) -> Outcome | Unknown:
        return await self._account.place_list(self._order)

    async def find(self) -> Outcome | NotFound | None:
        found = await self._account.find_list(self._order.client_order_id, urgent=self._urgent)
        if isinstance(found, NotFound):
            return found
        if (reason := self._not_ours(found)) is not None:
            return Unexplained(message=reason)
        return await self._ended(found) if found.is_done else Resting(venue_list_id=found.venue_list_id)

    async def is_listed(self) -> bool:
        return await _is_listed(self._account, self._order, self._leg_ids())

    def absent(self) -> Outcome:
        return Absent()

    async def _ended(self, found: FoundList) -> ListEnded | None:
        """Return what the legs sold; nothing while one of them may still be executed."""
        legs: list[tuple[Fill, ...]] = []
        for leg_id in self._leg_ids():
            leg = await self._account.find_order(self._order.symbol, leg_id)
            fills = await _final_fills(self._account, leg) if isinstance(leg, Found) else None
            if fills is None:
                return None
            legs.append(fills)
        take_profit, stop_loss = legs
        sold = _sum(take_profit + stop_loss)
        status = OrderStatus.FILLED if sold == self._order.quantity_base else OrderStatus.CANCELLED
        return ListEnded(
            venue_list_id=found.venue_list_id, status=status, take_profit=take_profit, stop_loss=stop_loss
        )

    def _leg_ids(self) -> Sequence[str]:
        list_id = self._order.client_order_id
        return take_profit_id(list_id), stop_loss_id(list_id)

    def _not_ours(self, found: FoundList) -> str | None:
        order = self._order
        if found.symbol != order.symbol:
            return f"{order.client_order_id} stands for a list on {found.symbol} at the venue"
        if found.created_at < order.intended_at - CREATED_BEFORE_INTENT:
            return f"{order.client_order_id} was placed before we intended it"
        return None


class CancelErrand:
    """A cancel of a list: done when the list has ended, however it did.

    While the list stands, the cancel has not arrived; a list that nobody knows any more has ended. A look
    that shows the one after one that showed the other proves neither.
    """

    def __init__(self, cancel: Order, listed: Order, account: Account) -> None:
        self._cancel = cancel
        self._listed = listed
        self._account = account
        self._list = ListErrand(listed, account)
        #: What the last look showed; nothing before the first.
        self._stands: bool | None = None

    async def send(self) -> Outcome | Unknown:
        return await self._account.cancel_list(self._cancel, self._listed)

    async def find(self) -> Outcome | NotFound | None:
        outcome = await self._list.find()
        if not isinstance(outcome, Resting | NotFound):
            return outcome
        before, self._stands = self._stands, isinstance(outcome, Resting)
        return NotFound() if before in (None, self._stands) else None

    async def is_listed(self) -> bool:
        return not self._stands and await self._list.is_listed()

    def absent(self) -> Outcome:
        if self._stands:
            return Absent()
        return ListEnded(venue_list_id=0, status=OrderStatus.CANCELLED, take_profit=(), stop_loss=())


async def _final_fills(account: Account, found: Found) -> tuple[Fill, ...] | None:
    """Return the fills of an order; nothing while it is not final, or its trades lag behind it."""
    if found.status not in FINAL_STATUSES:
        return None
    if not found.executed_base:
        return ()
    fills = await account.fills(found.symbol, found.venue_order_id)
    return fills if _sum(fills) == found.executed_base else None


def _sum(fills: Sequence[Fill]) -> Decimal:
    return sum((fill.quantity_base for fill in fills), ZERO)


async def _is_listed(account: Account, order: Order, client_ids: Sequence[str]) -> bool:
    listed = [
        *await account.open_orders(order.symbol),
        *await account.orders_from(order.symbol, order.intended_at - CREATED_BEFORE_INTENT),
    ]
    return any(found.client_order_id in client_ids for found in listed)
