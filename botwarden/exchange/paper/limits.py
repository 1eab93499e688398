"""Request weight and connections per address, orders per account, in windows aligned to the clock.

Source: Binance spot API, limits; WebSocket streams, general information; FAQ "spot unfilled order count
rules".
"""

from collections import Counter, defaultdict
from collections.abc import Mapping

from botwarden.exchange.paper import errors
from botwarden.exchange.paper.times import MINUTE_MS

#: So many requests after a 429 within its minute lead to a ban.
PATIENCE = 100
BAN_MS = 120_000

CONNECTIONS_WINDOW_MS = 5 * MINUTE_MS

#: What a first fill gives back to the count of unfilled orders.
TAKER_GIVES_BACK, MAKER_GIVES_BACK = 1, 5


class WeightLimit:
    """What each address has used in the present minute."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._minute = 0
        self._used: defaultdict[str, int] = defaultdict(int)
        self._ignored: defaultdict[str, int] = defaultdict(int)
        self._banned_until: dict[str, int] = {}

    def used(self, address: str, now_ms: int) -> int:
        """Return the weight of this minute."""
        self._turn(now_ms)
        return self._used[address]

    def spend(self, address: str, weight: int, now_ms: int) -> None:
        """Count a request.

        Raises:
            ApiError: 429 above the limit; 418 for those who go on nevertheless.
        """
        self._turn(now_ms)
        until_ms = self._banned_until.get(address, 0)
        if now_ms < until_ms:
            raise errors.banned(until_ms, -(-(until_ms - now_ms) // 1000))
        self._used[address] += weight
        if self._used[address] <= self.limit:
            return
        self._ignored[address] += 1
        if self._ignored[address] > PATIENCE:
            self._banned_until[address] = now_ms + BAN_MS
            raise errors.banned(now_ms + BAN_MS, BAN_MS // 1000)
        raise errors.too_much_weight(self.limit, -(-(MINUTE_MS - now_ms % MINUTE_MS) // 1000))

    def give_back(self, address: str, weight: int) -> None:
        """Undo a count: some requests cost nothing when they succeed."""
        self._used[address] = max(0, self._used[address] - weight)

    def _turn(self, now_ms: int) -> None:
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
            self._ignored.clear()


class ConnectionLimit:
    """How many websockets each address has opened in the present five minutes, at each door."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._window = 0
        self._opened: Counter[tuple[str, str]] = Counter()

    def count(self, door: str, address: str, now_ms: int) -> None:
        """Count a connection that is being opened.

        Raises:
            ApiError: 429 above the limit.
        """
        window, since_ms = divmod(now_ms, CONNECTIONS_WINDOW_MS)
        if window != self._window:
            self._window = window
            self._opened.clear()
        self._opened[door, address] += 1
        if self._opened[door, address] > self.limit:
            left_ms = CONNECTIONS_WINDOW_MS - since_ms
            raise errors.too_many_connections(self.limit, -(-left_ms // 1000))


class OrderLimit:
    """How many unfilled orders each account has placed in the present windows."""

    def __init__(self, limits: Mapping[int, int]) -> None:
        #: Window in seconds → orders.
        self.limits = dict(limits)
        self._counts: dict[int, defaultdict[int, int]] = {window: defaultdict(int) for window in limits}
        self._present: dict[int, int] = dict.fromkeys(limits, 0)

    def counts(self, account_id: int, now_ms: int) -> dict[int, int]:
        """Return the count of each window."""
        self._turn(now_ms)
        return {window: counts[account_id] for window, counts in self._counts.items()}

    def check(self, account_id: int, now_ms: int, *, new: int = 1) -> None:
        """Refuse an account that has placed too many to place so many more."""
        for window, count in self.counts(account_id, now_ms).items():
            if count + new > self.limits[window]:
                left_ms = window * 1000 - now_ms % (window * 1000)
                raise errors.too_many_orders(self.limits[window], window_name(window), -(-left_ms // 1000))

    def add(self, account_id: int, change: int, now_ms: int) -> None:
        """Count an order, or give back for a fill."""
        self._turn(now_ms)
        for counts in self._counts.values():
            counts[account_id] = max(0, counts[account_id] + change)

    def _turn(self, now_ms: int) -> None:
        for window, counts in self._counts.items():
            present = now_ms // (window * 1000)
            if present != self._present[window]:
                self._present[window] = present
                counts.clear()


def interval_of(window_s: int) -> tuple[str, int]:
    """Return a window as the venue names it."""
    for name, length in (("DAY", 86_400), ("HOUR", 3600), ("MINUTE", 60)):
        if window_s % length == 0:
            return name, window_s // length
    return "SECOND", window_s


def window_name(window_s: int) -> str:
    """Return a window in words, as errors have it."""
    interval, number = interval_of(window_s)
    return f"{number} {interval}"


def header_suffix(window_s: int) -> str:
    """Return a window as headers have it: 10S, 1D."""
    interval, number = interval_of(window_s)
    return f"{number}{interval[0]}"
