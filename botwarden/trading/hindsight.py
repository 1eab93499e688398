"""How high a market went while nobody watched a position, told from its closed candles.

The invariant: a mark is never raised by a price from before the position's entry, nor from before its owner
last wrote it. Both were written, so only candles count that opened after the row's last write; the rest of
that write's own minute stays unknown. Candles can be held against a write only where the market lives by
the same clock: one that is replayed or sped up has a time of its own, and tells nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from botwarden.trading.bot import BotState
from botwarden.trading.candles import Candle

#: How far the clocks of database, process and venue may be apart.
CLOCKS_APART = timedelta(seconds=5)

#: A market that lives by the clock has closed a minute within this time.
NEWEST_WITHIN = timedelta(minutes=3)


def keeps_time(candles: Sequence[Candle], now: datetime) -> bool:
    """Return whether this market (closed minutes, oldest first) lives by the clock that says `now`.

    Its newest candle has closed, and not long ago. A market that lags behind a little was shown later than
    its candles say, so what they say is still after the write; one that runs ahead closes in the future.
    """
    return bool(candles) and now - NEWEST_WITHIN <= candles[-1].closed_at <= now


def missed_high(candles: Sequence[Candle], *, written_at: datetime, slow: timedelta) -> Decimal | None:
    """Return the highest price of the candles that opened after the write; None where none did.

    `slow` is how much the clock that stamped the write may be behind that of the candles.
    """
    after = written_at + max(slow, timedelta(0)) + CLOCKS_APART
    return max((candle.high for candle in candles if candle.opened_at >= after), default=None)


def goes_on(before: BotState, after: BotState) -> bool:
    """Return whether the same position is still watched, and its owner has lowered neither mark nor stop."""
    same = after.in_position and after.is_active and after.entry_price == before.entry_price
    return (
        same
        and not _fell(before.max_price_since_entry, after.max_price_since_entry)
        and not _fell(before.trailing_stop_price, after.trailing_stop_price)
    )


def _fell(before: Decimal | None, after: Decimal | None) -> bool:
    return before is not None and (after is None or after < before)
