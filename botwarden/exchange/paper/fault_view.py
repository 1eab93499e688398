"""The past, for reads that lag behind the engine: accounts and store as they were at one moment.

The invariant: everything that is read through a view is of the same moment, and nothing is written.
"""

import copy
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.store import Store

if TYPE_CHECKING:
    from botwarden.exchange.paper.venue import PaperVenue


class PastStore(Store):
    """A store as it is now, for reading later: one read transaction that stays open."""

    def __init__(self, path: Path) -> None:
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._reader.execute("BEGIN")
        self.fact("")  # The transaction begins with its first read.

    async def settled(self) -> None:
        """Nothing is under way in the past."""

    def close(self) -> None:
        """Let go of the past."""
        self._reader.close()


class View:
    """What reads see. What is to be seen has to be on disk before."""

    def __init__(self, venue: "PaperVenue") -> None:
        self._accounts = copy.deepcopy(venue.engine.accounts.by_id)
        self._store = PastStore(venue.options.store)

    def show(self, venue: "PaperVenue", account: Account) -> tuple["PaperVenue", Account]:
        """Return the venue and the account as they were; an account that is new since then as it is."""
        return replace(venue, store=self._store), self._accounts.get(account.account_id, account)

    def close(self) -> None:
        """Let go of the past."""
        self._store.close()
