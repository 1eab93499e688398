"""What every actor of a replica may use; built once by the composition root."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from botwarden.exchange.port import Exchange
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.runtime import Clock
from botwarden.trading.bot import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Settings that actors obey."""

    #: R of the order protocol: how long the venue may accept an order after it was intended.
    receive_window: timedelta = timedelta(seconds=5)
    #: What is waited beyond R before an order that nobody knows counts as absent.
    absence_margin: dict[Venue, timedelta]
    #: Also what owners stopped starts again at midnight.
    reset_reactivates_all: bool = False
    keep_events_days: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Doors to the database, the word of mouth, the venues and time."""

    database: Database
    #: For the replica's advisory lock; differs from `database`'s where a pooler stands between.
    direct_url: str
    broadcast: Broadcast
    cache: JsonCache
    exchange: Exchange
    symbols: SymbolCatalogue
    clock: Clock
    #: The installation tag, part of every client order id.
    tag: str
    #: How operators know this replica.
    replica_name: str
    rules: Rules

    def venue_now(self, venue: Venue) -> datetime:
        """Return the venue's present time (aware, UTC) as far as we know it."""
        return self.exchange.market(venue).clock.now()
