"""A protected bot's venue in a few lines: its list, and what may happen to it."""

from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import strategies as st

from botwarden.trading.machine import CloseRequested, StartRequested, StatePut, StopRequested
from botwarden.trading.orders import Absent, Fill, ListEnded, NeverSent, Order, OrderStatus, Rejected
from tests.trading.examples import NOW, make_config

LIST_ID = 900

CONFIGS = st.builds(
    make_config,
    exchange_protection=st.just(True),
    position_size_fixed=st.sampled_from([Decimal("0.5"), Decimal("2.345")]),
    trailing_stop_active=st.booleans(),
    trailing_stop_perc=st.just(Decimal(3)),
    max_daily_trades=st.none() | st.integers(1, 6),
)
PRICES = st.decimals(min_value=80, max_value=125, places=2)
PARTS = st.sampled_from(
    [[1], [1], [Decimal("0.4"), Decimal("0.6")], [Decimal("0.3")], [Decimal("0.003")], []]
)
FEES = st.sampled_from(["USDT", "BTC", "BNB"])
#: From one turn of the bot's day to the next, by the clock of the trades.
HOURS = st.sampled_from([2, 12, 24, 40])
LOST = st.sampled_from([Rejected(code=-1003, message="no"), NeverSent(message="late"), Absent()])
COMMANDS = st.sampled_from(
    [
        StartRequested(at=NOW),
        StartRequested(at=NOW),
        StopRequested(at=NOW),
        CloseRequested(at=NOW),
        StatePut(changes={"stop_loss_price": "91.2345"}, at=NOW),
        StatePut(changes={"take_profit_price": "117.005"}, at=NOW),
        StatePut(changes={"status": "stopped"}, at=NOW),
    ]
)


@dataclass
class ListAtVenue:
    """A list as the venue has it, whether we know of it or not."""

    order: Order
    is_alive: bool = True
    take_profit: list[Fill] = field(default_factory=list)
    stop_loss: list[Fill] = field(default_factory=list)
    is_booked: bool = False

    @property
    def sold(self) -> Decimal:
        return sum((fill.quantity_base for fill in [*self.take_profit, *self.stop_loss]), Decimal(0))

    @property
    def left(self) -> Decimal:
        return self.order.quantity_base - self.sold if self.is_alive else Decimal(0)

    def ended(self) -> ListEnded:
        whole = self.sold == self.order.quantity_base
        return ListEnded(
            venue_list_id=LIST_ID,
            status=OrderStatus.FILLED if whole else OrderStatus.CANCELLED,
            take_profit=tuple(self.take_profit),
            stop_loss=tuple(self.stop_loss),
        )
