"""How long a bot waits before it intends an exit again that came to nothing, and what it learned meanwhile.

The invariant: exits are never intended as fast as venue and desk can turn them away. One that the venue
refused waits, longer with each refusal in a row; one that never left is repeated at once, but only the
first of several in a row.
"""

from decimal import Decimal

from botwarden.trading.orders import Executed, NeverSent, Order, OrderType, Outcome, Rejected

#: After the first refusal; each further one doubles it up to the longest.
REFUSED_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
UNSENT_PAUSE_S = 1.0

#: Beyond so many refusals in a row the pause grows no more.
MANY = 10

#: What an account has free is believed for this long: it may be free a moment later.
BELIEVED_FOR_S = 10.0


class Patience:
    """One bot's exits in vain."""

    def __init__(self) -> None:
        self._until_s = 0.0
        self._refused = 0
        self._was_unsent = False
        self._free_base: Decimal | None = None
        self._believed_until_s = 0.0

    def note(self, order: Order, outcome: Outcome, now_s: float) -> None:
        """Take note of how an order ended; how a protective list was received delays no exit."""
        if order.type is not OrderType.MARKET:
            return
        pause_s = 0.0
        if isinstance(outcome, Rejected):
            pause_s = min(REFUSED_PAUSE_S * 2**self._refused, LONGEST_PAUSE_S)
            self._refused = min(self._refused + 1, MANY)
        else:
            self._refused = 0
        if isinstance(outcome, Executed) and self._free_base is not None:
            # What is left of the position is not there to be sold, as far as is known.
            self._free_base -= sum((fill.quantity_base for fill in outcome.fills), Decimal(0))
        if isinstance(outcome, NeverSent) and self._was_unsent:
            pause_s = UNSENT_PAUSE_S
        self._was_unsent = isinstance(outcome, NeverSent)
        self._until_s = now_s + pause_s

    def learn(self, free_base: Decimal, now_s: float) -> None:
        """The account has this much free: if that is something, an exit within it need not wait."""
        self._free_base = free_base
        self._believed_until_s = now_s + BELIEVED_FOR_S
        if free_base > 0 and self._refused == 1:
            self._until_s = 0.0

    def free_base(self, now_s: float) -> Decimal | None:
        """Return what the account has free of the base asset, if that was learned a short while ago."""
        return self._free_base if now_s < self._believed_until_s else None

    def left_s(self, now_s: float) -> float:
        """Return how long the next exit has to wait; zero if it need not."""
        return max(0.0, self._until_s - now_s)
