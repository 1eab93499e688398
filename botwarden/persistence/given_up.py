"""Orders that were given up because nobody at the venue knew them: what the reconciler looks for again.

Only orders of bots whose slots are the asker's are read, each with the term that its bot has then: whoever
books a find under that term was the bot's holder.
"""

from typing import NamedTuple

from sqlalchemy import text

from botwarden.persistence.database import Transaction
from botwarden.persistence.open_orders import order_of
from botwarden.persistence.order_tables import GIVEN_UP
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.orders import Order

#: Afterwards nobody looks any more; `verify-ledger` still would name it.
LOOKED_FOR_H = 24


class GivenUp(NamedTuple):
    """An order that may turn up yet."""

    order: Order
    #: Where it was to be placed; its bot may have moved on.
    venue: Venue
    api_key_id: ApiKeyId
    #: Of the bot.
    term: int
    #: How long ago it was given up.
    age_s: float


async def read_given_up(tx: Transaction, me: int) -> list[GivenUp]:
    """Return what was given up within the last day of bots that are `me`'s, newest first."""
    rows = await tx.execute(_GIVEN_UP, {"me": me})
    return [
        GivenUp(order_of(row), Venue(row.venue), ApiKeyId(row.api_key_id), row.term, row.age_s)
        for row in rows
    ]


# Absent; shown as filled by a venue that had no fills of it; or a list that nobody knew when it was to be
# taken off: it has no id of the venue.
_GIVEN_UP = text(f"""
    SELECT o.*, s.term,
           CAST(extract(epoch FROM clock_timestamp() - o.settled_at) AS double precision) AS age_s
    FROM orders o
    JOIN bot_states s ON s.bot_id = o.bot_id
    JOIN slots l ON l.slot = s.slot
    WHERE {GIVEN_UP} AND o.settled_at > now() - interval '{LOOKED_FOR_H} hours'
      AND l.replica_id = :me
      AND (o.status = 'absent' AND o.type <> 'CANCEL'
           OR o.status = 'expired' AND o.error_message IS NOT NULL
           OR o.status = 'cancelled' AND o.type = 'OCO' AND o.venue_order_id = 0)
    ORDER BY o.settled_at DESC
    LIMIT 1000
""")  # noqa: S608 - built from constants
