"""The paper exchange's own memory on disk: accounts, orders, trades and how far the market has run.

One SQLite file. A writer thread commits whatever has gathered while it was busy as one transaction, each
change whole; `settled` returns when everything handed over so far is on disk. The invariant: nobody is
told of anything that is not on disk. A failed write ends the exchange: memory would be ahead for ever.
"""

import asyncio
import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import msgspec

from botwarden.errors import BotwardenError
from botwarden.exchange.paper.changes import Statement
from botwarden.exchange.paper.records import ListRecord, OrderRecord, TradeRecord

#: Grows with each change that an earlier version could not live with. What is missing of an earlier
#: version's tables is added; its records are read with what they have.
VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    account_id INTEGER PRIMARY KEY,
    api_key TEXT NOT NULL UNIQUE,
    secret_key TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS settings (
    account_id INTEGER PRIMARY KEY REFERENCES accounts,
    burns_bnb INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS balances (
    account_id INTEGER NOT NULL REFERENCES accounts,
    asset TEXT NOT NULL,
    free TEXT NOT NULL,
    locked TEXT NOT NULL,
    PRIMARY KEY (account_id, asset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    symbol TEXT NOT NULL,
    order_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    client_order_id TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (symbol, order_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_by_client ON orders (account_id, symbol, client_order_id, order_id);
CREATE INDEX IF NOT EXISTS orders_by_account ON orders (account_id, symbol, order_id);
CREATE INDEX IF NOT EXISTS orders_open ON orders (is_open) WHERE is_open = 1;
CREATE TABLE IF NOT EXISTS lists (
    list_id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL,
    client_list_id TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS lists_by_client ON lists (account_id, client_list_id, list_id);
CREATE TABLE IF NOT EXISTS trades (
    symbol TEXT NOT NULL,
    trade_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (symbol, trade_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trades_by_account ON trades (account_id, symbol, trade_id);
CREATE INDEX IF NOT EXISTS trades_by_order ON trades (account_id, symbol, order_id, trade_id);
CREATE TABLE IF NOT EXISTS markets (
    identity TEXT PRIMARY KEY,
    position_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS counters (
    symbol TEXT PRIMARY KEY,
    next_trade_id INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
"""


class StoreError(BotwardenError):
    """The store cannot be opened or written."""


class Store:
    """The file, one thread that writes to it, and a connection that reads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        try:
            self._writer = _connect(path)
            _bring_up(self._writer)
            self._reader = _connect(path)
        except (sqlite3.Error, StoreError) as broken:
            self._lock.close()
            raise StoreError(f"{path}: {broken}") from None
        self._waiting: list[Statement] = []
        self._handed_over = 0
        self._on_disk = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = threading.Condition()
        self._is_closing = False
        self._failure: str | None = None
        self._failed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_for_ever, name="paper-store", daemon=True)
        self._thread.start()

    # Writing

    def write(self, statements: Sequence[Statement]) -> None:
        """Hand over one change; it is committed whole, after all earlier ones."""
        with self._wake:
            self._waiting.extend(statements)
            self._handed_over += 1
            self._wake.notify()

    async def settled(self) -> None:
        """Return when everything handed over so far is on disk.

        Raises:
            StoreError: it will never be.
        """
        if self._on_disk >= self._handed_over:
            return
        if self._failure is not None:
            raise StoreError(self._failure)
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((self._handed_over, waiter))
        await waiter

    async def failure(self) -> None:
        """Raise when the store can no longer be written; never returns."""
        await self._failed.wait()
        raise StoreError(f"the store cannot be written: {self._failure}")

    def close(self) -> None:
        """Write what is left and close the file."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join()
        self._reader.close()
        self._lock.close()

    def _write_for_ever(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._is_closing:
                    self._wake.wait()
                batch, self._waiting = self._waiting, []
                ticket = self._handed_over
                if not batch:
                    break
            try:
                self._commit(batch)
            except (sqlite3.Error, OSError) as broken:
                self._tell(ticket, str(broken))
                break
            self._tell(ticket, None)
        self._writer.close()

    def _commit(self, batch: list[Statement]) -> None:
        execute = self._writer.execute
        execute("BEGIN IMMEDIATE")
        for sql, values in batch:
            execute(sql, values)
        execute("COMMIT")

    def _tell(self, ticket: int, failure: str | None) -> None:
        with suppress(RuntimeError):  # The loop is gone: nobody waits any more.
            self._loop.call_soon_threadsafe(self._done, ticket, failure)

    def _done(self, ticket: int, failure: str | None) -> None:
        if failure is not None:
            self._failure = failure
            self._failed.set()
        else:
            self._on_disk = ticket
        waiters, self._waiters = self._waiters, []
        for wanted, waiter in waiters:
            if waiter.done():
                continue
            if failure is not None:
                waiter.set_exception(StoreError(failure))
            elif wanted <= ticket:
                waiter.set_result(None)
            else:
                self._waiters.append((wanted, waiter))

    # Reading

    def accounts(self) -> list[tuple[int, str, str]]:
        """Return every account: id, key, secret."""
        return self._reader.execute("SELECT account_id, api_key, secret_key FROM accounts").fetchall()

    def settings(self) -> list[tuple[int, bool]]:
        """Return how accounts that have said so want to be treated: account, whether it burns BNB."""
        rows = self._reader.execute("SELECT account_id, burns_bnb FROM settings")
        return [(account_id, bool(burns)) for account_id, burns in rows]

    def balances(self) -> Iterator[tuple[int, str, int, int]]:
        """Yield every balance: account, asset, free, locked."""
        rows = self._reader.execute("SELECT account_id, asset, free, locked FROM balances")
        for account_id, asset, free, locked in rows:
            yield account_id, asset, int(free), int(locked)

    def open_orders(self) -> list[OrderRecord]:
        """Return every order on the book."""
        return self._orders("SELECT record FROM orders WHERE is_open = 1 ORDER BY symbol, order_id", ())

    def last_order_ids(self) -> dict[str, int]:
        """Return the highest order id of each symbol."""
        return dict(self._reader.execute("SELECT symbol, max(order_id) FROM orders GROUP BY symbol"))

    def last_list_id(self) -> int:
        """Return the highest id of a list."""
        return int(self._reader.execute("SELECT coalesce(max(list_id), 0) FROM lists").fetchone()[0])

    def list_by_id(self, account_id: int, list_id: int) -> ListRecord | None:
        """Return one list of an account."""
        return self._list("account_id = ? AND list_id = ?", (account_id, list_id))

    def list_by_client(self, account_id: int, client_list_id: str) -> ListRecord | None:
        """Return the newest list with this client id."""
        return self._list("account_id = ? AND client_list_id = ?", (account_id, client_list_id))

    def lists(
        self,
        account_id: int,
        *,
        from_id: int | None,
        from_ms: int | None,
        until_ms: int | None,
        limit: int,
    ) -> list[ListRecord]:
        """Return lists, oldest first; without a beginning the newest ones."""
        where, values = _range("list_id", "json_extract(record, '$.created_ms')", from_id, from_ms, until_ms)
        newest = from_id is None and from_ms is None
        rows = self._reader.execute(
            "SELECT record FROM lists WHERE account_id = ?"  # noqa: S608 - our own words
            f"{where} ORDER BY list_id {'DESC' if newest else 'ASC'} LIMIT ?",
            (account_id, *values, limit),
        )
        found = [msgspec.json.decode(record, type=ListRecord) for (record,) in rows]
        return found[::-1] if newest else found

    def last_trade_ids(self) -> dict[str, int]:
        """Return the highest id of an account's trade of each symbol."""
        return dict(self._reader.execute("SELECT symbol, max(trade_id) FROM trades GROUP BY symbol"))

    def counters(self) -> dict[str, int]:
        """Return the next trade id of each symbol, as of about a second before the end."""
        return dict(self._reader.execute("SELECT symbol, next_trade_id FROM counters"))

    def position(self, identity: str) -> int | None:
        """Return how far this market has run; None if it never did."""
        row = self._reader.execute(
            "SELECT position_ms FROM markets WHERE identity = ?", (identity,)
        ).fetchone()
        return None if row is None else int(row[0])

    def fact(self, name: str) -> str | None:
        """Return something that was remembered."""
        row = self._reader.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def order(self, account_id: int, symbol: str, order_id: int) -> OrderRecord | None:
        """Return one order of an account."""
        found = self._orders(
            "SELECT record FROM orders WHERE symbol = ? AND order_id = ? AND account_id = ?",
            (symbol, order_id, account_id),
        )
        return found[0] if found else None

    def order_by_client(self, account_id: int, symbol: str, client_order_id: str) -> OrderRecord | None:
        """Return the newest order with this client order id."""
        found = self._orders(
            "SELECT record FROM orders WHERE account_id = ? AND symbol = ? AND client_order_id = ?"
            " ORDER BY order_id DESC LIMIT 1",
            (account_id, symbol, client_order_id),
        )
        return found[0] if found else None

    def orders(
        self,
        account_id: int,
        symbol: str,
        *,
        from_id: int | None,
        from_ms: int | None,
        until_ms: int | None,
        limit: int,
    ) -> list[OrderRecord]:
        """Return orders, oldest first; without a beginning the newest ones."""
        where, values = _range("order_id", "created_ms", from_id, from_ms, until_ms)
        newest = from_id is None and from_ms is None
        found = self._orders(
            "SELECT record FROM orders WHERE account_id = ? AND symbol = ?"  # noqa: S608 - our own words
            f"{where} ORDER BY order_id {'DESC' if newest else 'ASC'} LIMIT ?",
            (account_id, symbol, *values, limit),
        )
        return found[::-1] if newest else found

    def trades(
        self,
        account_id: int,
        symbol: str,
        *,
        order_id: int | None,
        from_id: int | None,
        from_ms: int | None,
        until_ms: int | None,
        limit: int,
    ) -> list[TradeRecord]:
        """Return executions, oldest first; without a beginning the newest ones."""
        where, values = _range("trade_id", "time_ms", from_id, from_ms, until_ms)
        if order_id is not None:
            where, values = where + " AND order_id = ?", [*values, order_id]
        newest = from_id is None and from_ms is None and order_id is None
        rows = self._reader.execute(
            "SELECT record FROM trades WHERE account_id = ? AND symbol = ?"  # noqa: S608 - our own words
            f"{where} ORDER BY trade_id {'DESC' if newest else 'ASC'} LIMIT ?",
            (account_id, symbol, *values, limit),
        )
        found = [msgspec.json.decode(record, type=TradeRecord) for (record,) in rows]
        return found[::-1] if newest else found

    def _list(self, where: str, values: Sequence[Any]) -> ListRecord | None:
        sql = f"SELECT record FROM lists WHERE {where} ORDER BY list_id DESC LIMIT 1"  # noqa: S608 - our own words
        row = self._reader.execute(sql, values).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=ListRecord)

    def _orders(self, sql: str, values: Sequence[Any]) -> list[OrderRecord]:
        rows = self._reader.execute(sql, values)
        return [msgspec.json.decode(record, type=OrderRecord) for (record,) in rows]


def _range(
    id_column: str, time_column: str, from_id: int | None, from_ms: int | None, until_ms: int | None
) -> tuple[str, list[int]]:
    bounds = (
        (f"{id_column} >= ?", from_id),
        (f"{time_column} >= ?", from_ms),
        (f"{time_column} <= ?", until_ms),
    )
    used = [(sql, value) for sql, value in bounds if value is not None]
    return "".join(f" AND {sql}" for sql, _ in used), [value for _, value in used]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _bring_up(connection: sqlite3.Connection) -> None:
    """Let the file have the tables of this version.

    Raises:
        StoreError: it was written by a later version; nothing has changed.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        connection.close()
        raise StoreError(
            f"written by a later version of the paper exchange ({found}, this one knows {VERSION})"
        )
    connection.executescript(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _locked(path: Path) -> TextIO:
    """Return the open lock file: the process holds the store until it is closed, however it ends."""
    lock = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"{path} is in use by another paper exchange") from None
    return lock
