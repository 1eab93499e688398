"""One committed order on its way to being settled.

    desk ──spawns──▶ order ──place, once──▶ venue
                       │  ◀──outcome─────────┘
                       │  ──find, fills, …──▶ venue     (unknown outcomes are asked about)
                       └──OrderSettled──▶ bot

The request leaves at most once in the life of the order: the permission to send (`SendOnce`) is taken
before the first byte and is gone for good, also when this actor crashes and is started again. A fresh
process, or another replica, never has it: for them every open order is unknown.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from botwarden.actors.surroundings import Rules
from botwarden.errors import Unavailable
from botwarden.exchange.port import Account, Found, NotFound, Unknown, VenueClock
from botwarden.runtime import Actor, Next, Ref
from botwarden.trading.bot import Venue
from botwarden.trading.orders import (
    Absent,
    Executed,
    NeverSent,
    Order,
    OrderStatus,
    Outcome,
    Rejected,
    Unexplained,
)

#: Statuses after which the venue changes nothing more. Source: Binance spot API, enums, order status.
FINAL_STATUSES = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})

#: How far the venue's record may lie before our intent: its clock and ours differ a little.
CREATED_BEFORE_INTENT = timedelta(seconds=1)

#: Absence is seen twice, this far apart.
SECOND_LOOK_S = 2.0

LONGEST_PAUSE_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettled:
    """How the order ended, for its bot to commit."""

    order: Order
    outcome: Outcome


class SendOnce:
    """The permission to send one order: it can be taken once."""

    def __init__(self, *, granted: bool) -> None:
        self._granted = granted

    def take(self) -> bool:
        """Return whether the order may be sent now; from then on it never may."""
        granted, self._granted = self._granted, False
        return granted


@dataclass(frozen=True, slots=True)
class _Begin:
    """Send, or ask if it may have been sent."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Ask the venue what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """Tell the bot, again if its inbox was full."""

    outcome: Outcome


class OrderActor(Actor[_Begin | _Ask | _Report]):
    """Sends one order at most once and finds out how it ended."""

    def __init__(
        self,
        *,
        order: Order,
        venue: Venue,
        account: Account,
        venue_clock: VenueClock,
        rules: Rules,
        permission: SendOnce,
        bot: Ref[OrderSettled],
    ) -> None:
        self._order = order
        self._venue = venue
        self._account = account
        self._clock = venue_clock
        self._rules = rules
        self._permission = permission
        self._bot = bot
        self._pause_s = 0.25
        self._times_missed = 0

    async def started(self) -> None:
        """Begin at once."""
        self.context.ref.tell(_Begin())

    async def receive(self, message: _Begin | _Ask | _Report, /) -> Next:
        """Take the next step; stop once the bot has the outcome."""
        match message:
            case _Begin():
                outcome = await self._begin()
            case _Ask():
                outcome = await self._ask()
            case _Report(outcome=known):
                outcome = known
        if outcome is None:
            return Next.CONTINUE
        if self._bot.tell(OrderSettled(order=self._order, outcome=outcome)) or not self._bot.is_alive:
            return Next.STOP
        self.context.start_timer("report", _Report(outcome=outcome), after_s=0.1)
        return Next.CONTINUE

    async def _begin(self) -> Outcome | None:
        if not self._permission.take():
            return await self._ask()
        late_by = self._clock.now() - self._order.intended_at
        if late_by > self._rules.receive_window / 2:
            return NeverSent(message=f"not begun within {self._rules.receive_window / 2} of the decision")
        match await self._account.place(self._order):
            case Unknown():
                self._ask_later(self._pause_s)
                return None
            case Executed() | Rejected() | NeverSent() as outcome:
                return outcome

    async def _ask(self) -> Outcome | None:
        try:
            outcome = await self._look()
        except Unavailable:
            outcome = None
        if outcome is None:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._ask_later(SECOND_LOOK_S if self._times_missed else self._pause_s)
        return outcome

    def _ask_later(self, after_s: float) -> None:
        self.context.start_timer("ask", _Ask(), after_s=after_s)

    async def _look(self) -> Outcome | None:
        """Return how the order ended, or nothing yet."""
        # The venue's own answer must lie beyond the window before we look, or a late copy could still come.
        too_late_for_copies = await self._clock.ask() > self._deadline()
        match await self._account.find_order(self._order.symbol, self._order.client_order_id):
            case Found() as found:
                return await self._outcome_of(found)
            case NotFound():
                if not too_late_for_copies or await self._is_listed():
                    return None
        self._times_missed += 1
        return Absent() if self._times_missed >= 2 else None

    def _deadline(self) -> datetime:
        return self._order.intended_at + self._rules.receive_window + self._rules.absence_margin[self._venue]

    async def _is_listed(self) -> bool:
        """Return whether a list of the account shows the order although the query does not."""
        wanted = self._order.client_order_id
        listed = [
            *await self._account.open_orders(self._order.symbol),
            *await self._account.orders_from(
                self._order.symbol, self._order.intended_at - CREATED_BEFORE_INTENT
            ),
        ]
        return any(found.client_order_id == wanted for found in listed)

    async def _outcome_of(self, found: Found) -> Outcome | None:
        self._times_missed = 0
        if (reason := self._not_ours(found)) is not None:
            return Unexplained(message=reason)
        if found.status not in FINAL_STATUSES:
            return None
        fills = (
            await self._account.fills(self._order.symbol, found.venue_order_id) if found.executed_base else ()
        )
        if sum(fill.quantity_base for fill in fills) != found.executed_base:
            return None  # The list of trades lags behind the order.
        status = OrderStatus.FILLED if found.status == "FILLED" else OrderStatus.EXPIRED
        return Executed(venue_order_id=found.venue_order_id, status=status, fills=fills)

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
