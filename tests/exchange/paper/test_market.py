"""The running market: what it shows, what closes, and where it goes on after a restart."""

from collections import Counter
from pathlib import Path

import pytest

from botwarden.exchange.paper.bars import INTERVAL_MS, Bar, merge, opening
from botwarden.exchange.paper.instruments import default_instruments
from botwarden.exchange.paper.market import Closed, Market, Trade
from botwarden.exchange.paper.replay import ReplaySource
from botwarden.exchange.paper.synthetic import ORIGIN_MS, SyntheticSource
from tests.exchange.paper.house import MINUTE, NEW_YEAR_MS, minutes, write_klines

BTC = {"BTCUSDT": default_instruments()["BTCUSDT"]}


class Witness:
    """Writes down what a market tells."""

    def __init__(self, market: Market, *intervals: str) -> None:
        self.trades: list[Trade] = []
        self.closed: list[Closed] = []
        market.on_trade = self.trades.append
        market.on_closed = self.closed.append
        self.market = market
        for name in market.symbols:
            for interval in intervals:
                market.follow(name, interval)

    def run_until(self, market_ms: int) -> None:
        """Let the market go on to this moment of its own time, or to its end."""
        while (due := self.market.next_due_ms()) is not None and due <= market_ms:
            self.market.step(0)


def synthetic(position_ms: int = ORIGIN_MS, *, speed: float = 60.0) -> Market:
    """A synthetic market of one symbol."""
    return Market(SyntheticSource(7, BTC, start_ms=ORIGIN_MS), position_ms=position_ms, speed=speed)


def replayed(folder: Path, rows: list[tuple[object, ...]]) -> Market:
    """A market that replays these rows."""
    source = ReplaySource([write_klines(folder / "BTCUSDT-1m.csv", rows)])
    return Market(source, position_ms=source.start_ms, speed=60.0)


@pytest.mark.parametrize("speed", [1.0, 7.0, 600.0])
def test_every_candle_closes_once_and_is_what_rest_shows(speed: float) -> None:
    """Over hours, each candle of each interval closes exactly once, in order, as in the history."""
    intervals = ("1m", "3m", "5m", "15m", "30m", "1h")
    market = synthetic(ORIGIN_MS + 7 * MINUTE, speed=speed)
    witness = Witness(market, *intervals)
    witness.run_until(ORIGIN_MS + 185 * MINUTE)
    counts = Counter((closed.interval, closed.bar.opened_ms) for closed in witness.closed)
    assert set(counts.values()) == {1}
    for interval in intervals:
        told = [closed.bar for closed in witness.closed if closed.interval == interval]
        first = opening(interval, ORIGIN_MS + 7 * MINUTE)
        shown = market.history("BTCUSDT", interval, from_ms=first, until_ms=None, limit=1000)
        assert told == shown[: len(told)]
        assert len(shown) == len(told) + 1
        assert len(told) == (ORIGIN_MS + 185 * MINUTE - first) // INTERVAL_MS[interval]


def test_the_trades_of_a_minute_are_its_candle() -> None:
    """Prices and volumes told minute by minute are those of the closed candle."""
    market = synthetic(speed=1.0)
    witness = Witness(market, "1m")
    witness.run_until(ORIGIN_MS + 2 * MINUTE - 1)
    witness.trades.clear()
    witness.closed.clear()
    witness.run_until(ORIGIN_MS + 3 * MINUTE - 1)
    trades = list(witness.trades)
    witness.run_until(ORIGIN_MS + 3 * MINUTE)
    bar = next(closed.bar for closed in witness.closed if closed.bar.opened_ms == ORIGIN_MS + 2 * MINUTE)
    assert len(trades) == 60
    assert [
        trades[0].price,
        max(t.price for t in trades),
        min(t.price for t in trades),
        trades[-1].price,
    ] == list(bar[1:5])
    assert sum(trade.quantity for trade in trades) == bar.volume
    assert [trade.trade_id for trade in trades] == list(range(trades[0].trade_id, trades[0].trade_id + 60))


def test_a_restart_in_the_middle_of_a_bar_goes_on_there() -> None:
    """A market opened at any position shows what the one before it showed, and closes the same candles."""
    whole = synthetic()
    witness = Witness(whole, "1m", "5m")
    whole_until = ORIGIN_MS + 12 * MINUTE
    positions = []
    while whole.position_ms < ORIGIN_MS + 11 * MINUTE:
        whole.step(0)
        positions.append((whole.position_ms, whole.symbols["BTCUSDT"].price, whole.current("BTCUSDT", "5m")))
    witness.run_until(whole_until)
    for position, price, current in positions[::5]:
        market = synthetic(position)
        assert (market.position_ms, market.symbols["BTCUSDT"].price) == (position, price)
        assert market.current("BTCUSDT", "5m") == current
        again = Witness(market, "1m", "5m")
        again.run_until(whole_until)
        ends = [c for c in witness.closed if c.bar.opened_ms + INTERVAL_MS[c.interval] > position]
        assert again.closed == ends


def test_a_gap_is_jumped_and_closes_what_it_ends(tmp_path: Path) -> None:
    """The market's time leaps over minutes that no file has; candles that end in the gap are closed."""
    rows = minutes(40)
    market = replayed(tmp_path, rows[:22] + rows[33:])
    witness = Witness(market, "1m", "5m")
    jumps = []
    while not market.has_ended:
        jumped = market.step(0)
        if jumped is not None:
            jumps.append(jumped)
    assert jumps == [rows[33][0]]
    fives = [(c.bar.opened_ms - NEW_YEAR_MS) // MINUTE for c in witness.closed if c.interval == "5m"]
    assert fives == [5, 10, 15, 20, 30, 35]
    ones = [(c.bar.opened_ms - NEW_YEAR_MS) // MINUTE for c in witness.closed if c.interval == "1m"]
    assert ones == [*range(9, 22), *range(33, 40)]
    shown = market.history("BTCUSDT", "1m", from_ms=None, until_ms=None, limit=12)
    assert [(bar.opened_ms - NEW_YEAR_MS) // MINUTE for bar in shown] == [*range(17, 22), *range(33, 40)]


def test_the_end_is_a_break_at_the_last_price(tmp_path: Path) -> None:
    """Behind the last minute nothing is traded, also after a restart; the price and the candles stay."""
    rows = minutes(30)
    market = replayed(tmp_path, rows)
    witness = Witness(market, "1m")
    witness.run_until(2**60)
    assert market.has_ended
    assert market.next_due_ms() is None
    assert market.symbols["BTCUSDT"].price == int(rows[-1][4]) * 10**8
    assert (market.symbols["BTCUSDT"].status, market.symbols["BTCUSDT"].is_open) == ("BREAK", False)
    assert witness.closed[-1].bar.opened_ms == rows[-1][0]
    again = Market(market.source, position_ms=market.position_ms, speed=60.0)
    assert (again.has_ended, again.symbols["BTCUSDT"].status) == (True, "BREAK")
    assert again.symbols["BTCUSDT"].price == market.symbols["BTCUSDT"].price
    span = {"from_ms": None, "until_ms": None, "limit": 50}
    assert again.history("BTCUSDT", "1m", **span) == market.history("BTCUSDT", "1m", **span)
    assert len(again.history("BTCUSDT", "1m", **span)) == 30


def test_a_symbol_without_a_price_is_not_open(tmp_path: Path) -> None:
    """A symbol whose file begins later cannot be traded before."""
    write_klines(tmp_path / "ETHUSDT-1m.csv", minutes(10, start_ms=NEW_YEAR_MS + 60 * MINUTE))
    market = replayed(tmp_path, minutes(60))
    market = Market(ReplaySource([tmp_path]), position_ms=market.source.start_ms, speed=60.0)
    assert not market.symbols["ETHUSDT"].is_open
    Witness(market).run_until(NEW_YEAR_MS + 60 * MINUTE)
    assert market.symbols["ETHUSDT"].is_open


def test_history_keeps_to_its_bounds() -> None:
    """Without a start the newest, with a start the oldest from there; both ends include their own moment."""
    market = synthetic(ORIGIN_MS + 30 * MINUTE)

    def opened(**span: int | None) -> list[int]:
        wish = {"from_ms": None, "until_ms": None, "limit": 3} | span
        return [(bar.opened_ms - ORIGIN_MS) // MINUTE for bar in market.history("BTCUSDT", "1m", **wish)]

    assert opened() == [28, 29, 30]
    assert opened(from_ms=ORIGIN_MS + 5 * MINUTE) == [5, 6, 7]
    assert opened(from_ms=ORIGIN_MS + 5 * MINUTE + 1) == [6, 7, 8]
    assert opened(until_ms=ORIGIN_MS + 5 * MINUTE) == [3, 4, 5]
    assert opened(from_ms=ORIGIN_MS + 4 * MINUTE, until_ms=ORIGIN_MS + 5 * MINUTE) == [4, 5]
    assert opened(from_ms=ORIGIN_MS + 90 * MINUTE) == []
    assert len(market.history("BTCUSDT", "1m", from_ms=None, until_ms=None, limit=1000)) == 1000


def test_the_day_is_the_last_1440_minutes() -> None:
    """The 24 hours of the ticker end with the unfinished minute."""
    market = synthetic(ORIGIN_MS + 30 * MINUTE)
    Witness(market).run_until(ORIGIN_MS + 31 * MINUTE + 20_000)
    bars = market.history("BTCUSDT", "1m", from_ms=None, until_ms=None, limit=1000)
    older = market.history("BTCUSDT", "1m", from_ms=None, until_ms=bars[0].opened_ms - 1, limit=440)
    day = market.day("BTCUSDT")
    assert isinstance(day, Bar)
    assert day[1:] == merge(0, [*older, *bars])[1:]
