"""What a bot's strategy has said and the bot has not decided upon yet.

The invariant: a signal that came while an order was open, the database away or the day turning is not
lost. A SELL waits until it was decided upon or the strategy thought better of it; a BUY is good for its
own candle only, as the price that it meant is gone with the next. What was said about another symbol, or
by another strategy, is never decided upon.
"""

from botwarden.actors.feed_mail import Subject
from botwarden.trading.machine import Signal


class Hearing:
    """One bot's ear for its strategy."""

    def __init__(self) -> None:
        #: What is still to be decided upon; HOLD when nothing is.
        self.unheeded = Signal.HOLD
        #: What the strategy is to speak about.
        self.subject: Subject | None = None

    @property
    def waits(self) -> bool:
        """Whether something is still to be decided upon."""
        return self.unheeded is not Signal.HOLD

    def hear(self, signal: Signal) -> None:
        """A candle has closed, and the strategy has spoken."""
        if signal is not Signal.HOLD or self.unheeded is Signal.BUY:
            self.unheeded = signal

    def turn_to(self, subject: Subject) -> None:
        """Listen for this from now on."""
        if subject != self.subject:
            self.subject = subject
            self.heeded()

    def heeded(self) -> None:
        """It was decided upon, or there is nobody to decide any more."""
        self.unheeded = Signal.HOLD
