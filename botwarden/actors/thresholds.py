"""The prices at which bots of one symbol want to be woken, kept in order.

A price costs two comparisons when it touches nobody, however many bots there are. A bot that was
woken is disarmed until it arms itself again, so that one touch is one message. What is outdated is swept
out as soon as it outweighs what is armed, so the book stays as small as its bots.
"""

from collections.abc import Iterator
from decimal import Decimal
from heapq import heapify, heappop, heappush

from botwarden.trading.bot import BotId
from botwarden.trading.guard import Thresholds

#: Price (negated where the highest comes first), whether it must be passed rather than met, bot, arming.
_Entry = tuple[Decimal, bool, BotId, int]


#: A heap is swept when it has so many times more entries than bots are armed.
SWEEP_RATIO = 4
#: Smaller ones are left alone.
SMALL = 64


class ThresholdBook:
    """Thresholds of many bots on one symbol."""

    def __init__(self) -> None:
        self._armed: dict[BotId, tuple[int, Thresholds]] = {}
        self._arming = 0
        #: Heaps of what is touched first; outdated entries stay until they are met.
        self._below: list[_Entry] = []
        self._above: list[_Entry] = []
        self._always: set[BotId] = set()
        self._guarded: set[BotId] = set()

    @property
    def guarded(self) -> int:
        """How many positions have a price here at which they are sold."""
        return len(self._guarded)

    @property
    def entries(self) -> int:
        """How many entries are kept, outdated ones included."""
        return len(self._below) + len(self._above)

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, bot_id: BotId, thresholds: Thresholds) -> None:
        """Wake the bot at these prices; replaces what it asked for before."""
        self.disarm(bot_id)
        self._arming += 1
        self._armed[bot_id] = (self._arming, thresholds)
        if thresholds.always:
            self._always.add(bot_id)
        if thresholds.sell_at_or_below is not None or thresholds.sell_at_or_above is not None:
            self._guarded.add(bot_id)
        if thresholds.sell_at_or_below is not None:
            heappush(self._below, (-thresholds.sell_at_or_below, False, bot_id, self._arming))
        if thresholds.sell_at_or_above is not None:
            heappush(self._above, (thresholds.sell_at_or_above, False, bot_id, self._arming))
        if thresholds.new_high_above is not None:
            heappush(self._above, (thresholds.new_high_above, True, bot_id, self._arming))
        self._sweep(self._below)
        self._sweep(self._above)

    def disarm(self, bot_id: BotId) -> None:
        """Leave the bot asleep whatever the price."""
        self._armed.pop(bot_id, None)
        self._always.discard(bot_id)
        self._guarded.discard(bot_id)

    def touched(self, price: Decimal) -> list[BotId]:
        """Return the bots to wake at this price, disarmed."""
        woken = [*self._always]
        woken.extend(self._pop(self._below, -price))
        woken.extend(self._pop(self._above, price))
        woken = list(dict.fromkeys(woken))
        for bot_id in woken:
            self.disarm(bot_id)
        return woken

    def _pop(self, heap: list[_Entry], limit: Decimal) -> Iterator[BotId]:
        while heap and heap[0][:2] <= (limit, False):
            entry = heappop(heap)
            if self._is_armed(entry):
                yield entry[2]

    def _sweep(self, heap: list[_Entry]) -> None:
        if len(heap) <= max(SWEEP_RATIO * len(self._armed), SMALL):
            return
        # A bot has two entries above at most, so each sweep at least halves the heap.
        heap[:] = [entry for entry in heap if self._is_armed(entry)]
        heapify(heap)

    def _is_armed(self, entry: _Entry) -> bool:
        _, _, bot_id, arming = entry
        armed = self._armed.get(bot_id)
        return armed is not None and armed[0] == arming
