"""A market out of kline files, in the order of the venue's public data dumps.

The invariant: what the files say is what the market shows; a minute that is missing stays missing.
Rows are kept as text and read when they are needed, so that years of minutes fit into memory.
"""

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

from botwarden.exchange.paper.amounts import DECIMALS, UNIT
from botwarden.exchange.paper.bars import Bar
from botwarden.exchange.paper.instruments import PaperInstrument, derived_instrument
from botwarden.exchange.paper.source import SourceError
from botwarden.exchange.paper.times import MINUTE_MS

#: Minutes of past that a replay has when it begins, where the files are long enough.
HISTORY_MINUTES = 500

_NAME = re.compile(r"^([A-Za-z0-9]{2,30})(?:[-_.].*)?$")


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the files behind these paths; a folder means every *.csv in it.

    Raises:
        SourceError: nothing there.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(sorted(path.glob("*.csv")))
        elif path.is_file():
            found.append(path)
        else:
            raise SourceError(f"{path}: no such file or folder")
    if not found:
        raise SourceError("there is no kline file (*.csv) to replay")
    return found


def symbol_of(path: Path) -> str:
    """Return the symbol that a file's name begins with: BTCUSDT-1m.csv is BTCUSDT."""
    match = _NAME.match(path.name.removesuffix(".csv"))
    if match is None:
        raise SourceError(f"{path.name}: the name does not begin with a symbol, such as BTCUSDT-1m.csv")
    return match[1].upper()


class Rows:
    """One symbol's minutes."""

    def __init__(self) -> None:
        self.openings = array("q")
        self.lines: list[str] = []
        self.decimals = 0

    def add(self, path: Path) -> None:
        """Read one file.

        Raises:
            SourceError: naming the line that cannot be read.
        """
        fresh: dict[int, str] = {}
        with path.open(encoding="utf-8-sig", newline=None) as lines:
            for number, raw in enumerate(lines, start=1):
                line = raw.strip()
                if not line or (number == 1 and not line[0].isdigit()):
                    continue
                try:
                    bar = read_row(line)
                except (ValueError, IndexError) as wrong:
                    raise SourceError(f"{path.name}, line {number}: {wrong}") from None
                fresh[bar.opened_ms] = line
                self.decimals = max(self.decimals, price_decimals(line))
        merged = dict(zip(self.openings, self.lines, strict=True)) | fresh
        self.openings = array("q", sorted(merged))
        self.lines = [merged[opened_ms] for opened_ms in self.openings]


def read_row(line: str) -> Bar:
    """Return one line of a kline file as a candle.

    Raises:
        ValueError: it is none.
    """
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) < 6:
        raise ValueError("a kline has open time, open, high, low, close and volume")
    opened_ms = _opening(cells[0])
    opened, high, low, closed = (_price(cell) for cell in cells[1:5])
    volume = _amount(cells[5])
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise ValueError("open and close must lie between low and high")
    quote = _amount(cells[7]) if _has(cells, 7) else volume * (opened + high + low + closed) // (4 * UNIT)
    trades = int(cells[8]) if _has(cells, 8) else 4
    taker = _amount(cells[9]) if _has(cells, 9) else volume // 2
    taker_quote = _amount(cells[10]) if _has(cells, 10) else quote // 2
    return Bar(opened_ms, opened, high, low, closed, volume, quote, trades, taker, taker_quote)


def price_decimals(line: str) -> int:
    """Return the most decimals that the prices of a line really use."""
    cells = [cell.strip() for cell in line.split(",")[1:5]]
    return min(DECIMALS, max(len(cell.partition(".")[2].rstrip("0")) for cell in cells))


class ReplaySource:
    """A `Source` out of files. Reading them may take seconds: make it in a worker thread."""

    def __init__(self, paths: Sequence[Path], symbols: Sequence[str] = ()) -> None:
        self._rows: dict[str, Rows] = {}
        wanted = {symbol.upper() for symbol in symbols}
        for path in files_of(paths):
            symbol = symbol_of(path)
            if not wanted or symbol in wanted:
                self._rows.setdefault(symbol, Rows()).add(path)
        self._rows = {symbol: rows for symbol, rows in self._rows.items() if rows.openings}
        if not self._rows:
            raise SourceError("the files hold no minute of the wanted symbols")
        self.identity = "replay " + self._digest()
        self._timeline = array("q", sorted({ms for rows in self._rows.values() for ms in rows.openings}))
        self.first_ms = self._timeline[0]
        self.start_ms = self._timeline[min(HISTORY_MINUTES, len(self._timeline) // 3)]
        self._read = lru_cache(maxsize=20_000)(read_row)
        self.instruments: Mapping[str, PaperInstrument] = {
            symbol: self._instrument(symbol) for symbol in self._rows
        }

    def minutes(self, symbol: str, from_ms: int, until_ms: int) -> list[Bar]:
        """Return the candles that open in [from, until)."""
        rows = self._rows[symbol]
        first = bisect_left(rows.openings, from_ms)
        last = bisect_left(rows.openings, until_ms)
        return [self._read(line) for line in rows.lines[first:last]]

    def next_minute(self, from_ms: int) -> int | None:
        """Return the first opening at or after this moment that any file has."""
        place = bisect_left(self._timeline, from_ms)
        return self._timeline[place] if place < len(self._timeline) else None

    def _digest(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for symbol in sorted(self._rows):
            rows = self._rows[symbol]
            digest.update(f"{symbol}/{rows.openings[0]}/{rows.openings[-1]}/{len(rows.openings)};".encode())
        return digest.hexdigest()

    def _instrument(self, symbol: str) -> PaperInstrument:
        rows = self._rows[symbol]
        sample = [read_row(line) for line in rows.lines[:: max(1, len(rows.lines) // 500)]]
        quote = sum(bar.quote_volume for bar in sample) // len(sample)
        return derived_instrument(
            symbol,
            price=sample[0].close,
            decimals=rows.decimals,
            volatility=0.0,
            daily_quote=quote * 1440 // UNIT,
        )


def _has(cells: list[str], place: int) -> bool:
    return len(cells) > place and bool(cells[place])


def _opening(cell: str) -> int:
    if not cell.isdecimal():
        raise ValueError(f"{cell[:30]!r} is no time in milliseconds")
    opened = int(cell)
    # The venue's dumps count microseconds since 2025.
    opened_ms = opened // 1000 if opened > 10**14 else opened
    if opened_ms % MINUTE_MS:
        raise ValueError(f"{opened_ms} is not the beginning of a minute")
    return opened_ms


def _price(cell: str) -> int:
    price = _amount(cell)
    if price <= 0:
        raise ValueError("a price must be above zero")
    return price


def _amount(cell: str) -> int:
    try:
        amount = Decimal(cell)
    except InvalidOperation:
        raise ValueError(f"{cell[:30]!r} is no number") from None
    if not amount.is_finite() or amount < 0 or amount.adjusted() > 20:
        raise ValueError(f"{cell[:30]!r} is no amount")
    # Volumes of some dumps have more decimals than an amount: the rest is dropped.
    return int(amount.scaleb(DECIMALS))
