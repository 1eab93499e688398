"""Where a paper market's minutes come from, as seen by the market."""

from collections.abc import Mapping
from typing import Protocol

from botwarden.errors import BotwardenError
from botwarden.exchange.paper.bars import Bar
from botwarden.exchange.paper.instruments import PaperInstrument


class Source(Protocol):
    """One-minute candles by symbol and time: the same question always has the same answer."""

    #: Names the market: a position belongs to the market of this name only.
    identity: str
    instruments: Mapping[str, PaperInstrument]
    #: The market has no past before this.
    first_ms: int
    #: Where a new market begins.
    start_ms: int

    def minutes(self, symbol: str, from_ms: int, until_ms: int) -> list[Bar]:
        """Return the candles that open in [from, until), oldest first; gaps are left out."""
        ...

    def next_minute(self, from_ms: int) -> int | None:
        """Return the first opening at or after this moment of any symbol; None at the market's end."""
        ...


class SourceError(BotwardenError):
    """The market cannot be made from what was given."""
