"""A venue in a few lines: it executes one order at a time and keeps the cash and coins of one account."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from botwarden.trading.orders import Executed, Fill, Order, OrderStatus, Side

FEE = Decimal("0.001")

#: What one BNB is worth in quote.
BNB_PRICE = Decimal("612.34")


@dataclass
class VenueModel:
    """The account as the venue knows it; fees in BNB are valued and taken from the cash."""

    cash: Decimal = Decimal(0)
    coins: Decimal = Decimal(0)
    trade_ids: int = 0
    sold_too_much: list[Decimal] = field(default_factory=list)

    def execute(
        self, order: Order, *, parts: list[Decimal], price: Decimal, fee_in: str, at: datetime
    ) -> Executed:
        """Fill the order with these parts of its size, 1 together at most, each at the next worse tick."""
        size = order.quantity_base
        if size is None:
            size = (order.quantity_quote / price).quantize(Decimal("0.001"), rounding="ROUND_DOWN")
        fills = []
        for step, part in enumerate(parts):
            base = (size * part).quantize(Decimal("0.001"), rounding="ROUND_DOWN")
            slip = Decimal("0.01") * step
            if base > 0:
                at_price = price + slip if order.side is Side.BUY and order.quantity_quote is None else price
                fills.append(self._fill(order.side, base, at_price, fee_in, at))
        done = sum((fill.quantity_base for fill in fills), Decimal(0)) == size
        status = OrderStatus.FILLED if done and fills else OrderStatus.EXPIRED
        return Executed(venue_order_id=order.number, status=status, fills=tuple(fills))

    def _fill(self, side: Side, base: Decimal, price: Decimal, fee_in: str, at: datetime) -> Fill:
        self.trade_ids += 1
        quote = base * price
        if side is Side.BUY:
            self.cash, self.coins = self.cash - quote, self.coins + base
        else:
            if base > self.coins:
                self.sold_too_much.append(base)
            self.cash, self.coins = self.cash + quote, self.coins - base
        commission, worth = self._charge(side, base, quote, price, fee_in)
        return Fill(
            venue_trade_id=self.trade_ids,
            price_quote=price,
            quantity_base=base,
            quantity_quote=quote,
            commission=commission,
            commission_asset=fee_in,
            commission_quote=worth,
            executed_at=at,
        )

    def _charge(
        self, side: Side, base: Decimal, quote: Decimal, price: Decimal, fee_in: str
    ) -> tuple[Decimal, Decimal]:
        """Take the fee; return it in its asset and its worth in quote."""
        if fee_in == "BTC" and side is Side.BUY:
            fee = base * FEE
            self.coins -= fee
            return fee, fee * price
        if fee_in == "BNB":
            fee = (quote * FEE / BNB_PRICE).quantize(Decimal("1E-8"))
            self.cash -= fee * BNB_PRICE
            return fee, fee * BNB_PRICE
        self.cash -= quote * FEE
        return quote * FEE, quote * FEE
