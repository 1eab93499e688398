"""A venue in a few lines: it executes one order at a time and keeps the cash and coins of one account.

A fee may be taken from the sold coin (BNB is sold and fees are paid in BNB): the bot's own coins pay it while
there are any, then others of the account do, and the bot owes those their value.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from botwarden.trading.bot import BotState
from botwarden.trading.money import share_of
from botwarden.trading.orders import Executed, Fill, Order, OrderStatus, Side

FEE = Decimal("0.001")

#: The least that is sold: in coins a step, in quote this.
STEP, MIN_NOTIONAL = Decimal("0.001"), Decimal(5)

#: What one BNB is worth in quote.
BNB_PRICE = Decimal("612.34")


@dataclass
class VenueModel:
    """The account as the venue knows it; fees in BNB are valued and taken from the cash."""

    cash: Decimal = Decimal(0)
    coins: Decimal = Decimal(0)
    #: Coins that are there and in nobody's books any more.
    dust: Decimal = Decimal(0)
    #: The fee in the sold coin that was not taken yet, and its worth.
    owed_base: Decimal = Decimal(0)
    owed_quote: Decimal = Decimal(0)
    trade_ids: int = 0
    sold_too_much: list[Decimal] = field(default_factory=list)

    def execute(
        self,
        order: Order,
        *,
        parts: list[Decimal],
        price: Decimal,
        fee_in: str,
        at: datetime,
        others: bool = False,
    ) -> Executed:
        """Fill the order with these parts of its size, 1 together at most, each at the next worse tick.

        With `others`, what is sold beyond the bot's own coins is somebody else's, and so are its proceeds.
        """
        own, cash = self.coins - self.dust, self.cash
        size = order.quantity_base
        if size is None:
            size = (order.quantity_quote / price).quantize(Decimal("0.001"), rounding="ROUND_DOWN")
        fills = []
        for step, part in enumerate(parts):
            base = (size * part).quantize(Decimal("0.001"), rounding="ROUND_DOWN")
            slip = Decimal("0.01") * step
            if base > 0:
                at_price = price + slip if order.side is Side.BUY and order.quantity_quote is None else price
                fills.append(self.fill(order.side, base, at_price, fee_in, at, others=others))
        self.settle_fees()
        if others and order.side is Side.SELL:
            self._return_to_others(own, sum((fill.quantity_base for fill in fills), Decimal(0)), cash)
        done = sum((fill.quantity_base for fill in fills), Decimal(0)) == size
        status = OrderStatus.FILLED if done and fills else OrderStatus.EXPIRED
        return Executed(venue_order_id=order.number, status=status, fills=tuple(fills))

    def settle_fees(self) -> None:
        """Take the fee that is owed in the coin."""
        own = max(self.coins - self.dust, Decimal(0))
        paid = min(self.owed_base, own)
        self.coins -= paid
        if self.owed_base > 0:
            self.cash -= share_of(self.owed_quote, self.owed_base - paid, self.owed_base)
        self.owed_base = self.owed_quote = Decimal(0)

    def _return_to_others(self, own: Decimal, sold: Decimal, cash: Decimal) -> None:
        if sold > own:
            self.coins += sold - own
            self.cash = cash + share_of(self.cash - cash, own, sold)

    def fill(
        self,
        side: Side,
        base: Decimal,
        price: Decimal,
        fee_in: str,
        at: datetime,
        *,
        others: bool = False,
    ) -> Fill:
        """Execute so much."""
        self.trade_ids += 1
        quote = base * price
        if side is Side.BUY:
            self.cash, self.coins = self.cash - quote, self.coins + base
        else:
            if base > self.coins - self.dust and not others:
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
        if fee_in == "BTC":
            fee = base * FEE
            if side is Side.BUY:
                self.coins -= fee
            else:
                self.owed_base, self.owed_quote = self.owed_base + fee, self.owed_quote + fee * price
            return fee, fee * price
        if fee_in == "BNB":
            fee = (quote * FEE / BNB_PRICE).quantize(Decimal("1E-8"))
            self.cash -= fee * BNB_PRICE
            return fee, fee * BNB_PRICE
        self.cash -= quote * FEE
        return quote * FEE, quote * FEE


def is_stuck(state: BotState, price: Decimal) -> bool:
    """Whether a position is too small to be sold at this price: the next entry may come on top of it."""
    sellable = state.current_position_size_coins // STEP * STEP
    return sellable < STEP or sellable * price < MIN_NOTIONAL
