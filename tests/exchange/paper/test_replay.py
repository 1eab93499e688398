"""Replayed files: what they say is what the market shows."""

from pathlib import Path

import pytest

from botwarden.exchange.paper.amounts import units
from botwarden.exchange.paper.replay import ReplaySource, files_of, read_row, symbol_of
from botwarden.exchange.paper.source import SourceError
from tests.exchange.paper.house import MINUTE, NEW_YEAR_MS, minutes, write_klines


def test_a_row_of_the_dumps_is_read_whole() -> None:
    """All twelve columns are used when they are there; the rest is worked out when they are not."""
    full = f"{NEW_YEAR_MS},1.5,2,1,1.75,10.5,{NEW_YEAR_MS + 59_999},16.25,42,4.5,7.25,0"
    bar = read_row(full)
    assert bar == (
        NEW_YEAR_MS,
        *map(units, ("1.5", "2", "1", "1.75", "10.5", "16.25")),
        42,
        units("4.5"),
        units("7.25"),
    )
    short = read_row(f"{NEW_YEAR_MS},1.5,2,1,1.75,10.5")
    assert short[:6] == bar[:6]
    assert short.quote_volume == units("10.5") * 625 // 400


def test_microseconds_are_understood() -> None:
    """Newer dumps count microseconds."""
    assert read_row(f"{NEW_YEAR_MS}000,1,1,1,1,1").opened_ms == NEW_YEAR_MS


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1704067200000,1,2,3", "a kline has"),
        ("yesterday,1,1,1,1,1", "no time"),
        ("1704067200001,1,1,1,1,1", "beginning of a minute"),
        ("1704067200000,1,1,1,x,1", "no number"),
        ("1704067200000,0,1,0,1,1", "above zero"),
        ("1704067200000,1,2,1.5,2,1", "between low and high"),
        ("1704067200000,1,1,1,1,-5", "no amount"),
        ("1704067200000,1,NaN,1,1,1", "no amount"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path: Path, row: str, why: str) -> None:
    """A bad row is named by file and line."""
    path = tmp_path / "BTCUSDT.csv"
    path.write_text(f"1704067140000,1,1,1,1,1\n{row}\n")
    with pytest.raises(SourceError, match=f"BTCUSDT.csv, line 2: .*{why}"):
        ReplaySource([path])


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT-1m.csv", "BTCUSDT"),
        ("ethusdt.csv", "ETHUSDT"),
        ("BNBUSDT-1m-2024-01.csv", "BNBUSDT"),
        ("1000SATSUSDT_1m.csv", "1000SATSUSDT"),
    ],
)
def test_symbols_come_from_file_names(name: str, symbol: str) -> None:
    """The symbol is what the name begins with."""
    assert symbol_of(Path(name)) == symbol


def test_a_folder_means_its_files(tmp_path: Path) -> None:
    """Every *.csv of a folder is taken; files of one symbol are one series; none is an error."""
    with pytest.raises(SourceError, match="no kline file"):
        files_of([tmp_path])
    write_klines(tmp_path / "BTCUSDT-1m-b.csv", minutes(10, start_ms=NEW_YEAR_MS + 10 * MINUTE), header=True)
    write_klines(tmp_path / "BTCUSDT-1m-a.csv", minutes(12))
    write_klines(tmp_path / "ETHUSDT-1m.csv", minutes(5))
    (tmp_path / "README.md").write_text("not a kline")
    source = ReplaySource([tmp_path])
    assert set(source.instruments) == {"BTCUSDT", "ETHUSDT"}
    assert len(source.minutes("BTCUSDT", 0, 2**60)) == 20
    assert set(ReplaySource([tmp_path], ["ethusdt"]).instruments) == {"ETHUSDT"}


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    """A missing minute is not made up, and the next one is found across the gap."""
    rows = minutes(10)
    path = write_klines(tmp_path / "BTCUSDT-1m.csv", rows[:4] + rows[7:])
    source = ReplaySource([path])
    assert [bar.opened_ms for bar in source.minutes("BTCUSDT", 0, 2**60)] == [
        row[0] for row in rows[:4] + rows[7:]
    ]
    assert source.next_minute(rows[4][0]) == rows[7][0]
    assert source.next_minute(rows[9][0] + 1) is None


def test_rules_come_from_the_prices(tmp_path: Path) -> None:
    """The tick has the file's decimals, a step is worth about one quote at most."""
    write_klines(
        tmp_path / "BTCUSDT-1m.csv", [(NEW_YEAR_MS, "56738.76", "56840.3", "56733.23", "56813.98", "50.97")]
    )
    write_klines(
        tmp_path / "DOGEUSDT-1m.csv",
        [(NEW_YEAR_MS, "0.3154606", "0.3163364", "0.3136477", "0.3150246", "12655944.0")],
    )
    write_klines(
        tmp_path / "XRPUSDT-1m.csv", [(NEW_YEAR_MS, "1.42686", "1.42733", "1.42118", "1.42364", "1555104.2")]
    )
    found = ReplaySource([tmp_path]).instruments
    steps = {name: (rules.tick, rules.step) for name, rules in found.items()}
    assert steps == {
        "BTCUSDT": (units("0.01"), units("0.00001")),
        "DOGEUSDT": (units("0.0000001"), units("1")),
        "XRPUSDT": (units("0.00001"), units("0.1")),
    }


@pytest.mark.parametrize(("count", "history"), [(9, 3), (1000, 333), (4000, 500)])
def test_a_replay_begins_with_some_past(tmp_path: Path, count: int, history: int) -> None:
    """Five hundred minutes lie behind the beginning, or a third of a short file."""
    source = ReplaySource([write_klines(tmp_path / "BTCUSDT.csv", minutes(count))])
    assert source.start_ms == NEW_YEAR_MS + history * MINUTE
