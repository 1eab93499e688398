"""An order as it was asked for."""

import msgspec

from botwarden.exchange.paper.order_types import WORKS_AS


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an order is to be; form and filters have been checked. Amounts in units, zero is none."""

    symbol: str
    side: str
    type: str
    time_in_force: str
    client_order_id: str
    price: int = 0
    quantity: int = 0
    quote_quantity: int = 0
    stop_price: int = 0
    #: How much of it the book would show; zero: all of it.
    iceberg: int = 0
    strategy_id: int | None = None
    strategy_type: int | None = None

    @property
    def is_buy(self) -> bool:
        """Whether it buys the base asset."""
        return self.side == "BUY"

    @property
    def waits(self) -> bool:
        """Whether it waits for its stop price."""
        return self.type in WORKS_AS
