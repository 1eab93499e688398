"""The prices at which bots of one symbol want to be woken, kept in order.

A price costs two comparisons when it touches nobody, however many bots there are. A bot that was
woken is disarmed until it arms itself again, so that one touch is one message.
"""

from collections.abc import Iterator
from decimal import Decimal
from heapq import heappop, heappush

from botwarden.trading.bot import BotId
from botwarden.trading.guard import Thresholds


class ThresholdBook:
    """Thresholds of many bots on one symbol."""

    def __init__(self) -> None:
        self._armed: dict[BotId, tuple[int, Thresholds]] = {}
        self._arming = 0
        #: Heaps of (price, bot, arming): negated where the highest comes first. Stale entries stay until met.
        self._below: list[tuple[Decimal, BotId, int]] = []
        self._above: list[tuple[Decimal, BotId, int]] = []
        self._always: set[BotId] = set()

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, bot_id: BotId, thresholds: Thresholds) -> None:
        """Wake the bot at these prices; replaces what it asked for before."""
        self.disarm(bot_id)
        self._arming += 1
        self._armed[bot_id] = (self._arming, thresholds)
        if thresholds.always:
            self._always.add(bot_id)
        if thresholds.sell_at_or_below is not None:
            heappush(self._below, (-thresholds.sell_at_or_below, bot_id, self._arming))
        for price in (thresholds.sell_at_or_above, thresholds.new_high_above):
            if price is not None:
                heappush(self._above, (price, bot_id, self._arming))

    def disarm(self, bot_id: BotId) -> None:
        """Leave the bot asleep whatever the price."""
        self._armed.pop(bot_id, None)
        self._always.discard(bot_id)

    def touched(self, price: Decimal) -> list[BotId]:
        """Return the bots to wake at this price, disarmed."""
        woken = [*self._always]
        woken.extend(self._pop(self._below, -price))
        woken.extend(self._pop(self._above, price))
        woken = list(dict.fromkeys(woken))
        for bot_id in woken:
            self.disarm(bot_id)
        return woken

    def _pop(self, heap: list[tuple[Decimal, BotId, int]], limit: Decimal) -> Iterator[BotId]:
        while heap and heap[0][0] <= limit:
            _, bot_id, arming = heappop(heap)
            armed = self._armed.get(bot_id)
            if armed is not None and armed[0] == arming:
                yield bot_id
