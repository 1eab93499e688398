"""Who runs what: replicas, their slots, and the terms that fence off whoever lost them.

A replica lives while its beat is fresh *and* its advisory lock is held. Slots change hands in one
transaction: slots locked in order, their term raised; then their bots locked in id order, and given the
slot's term. A verdict of death that was wrong is harmless: the sleeper's commits carry an old term.
"""

from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b

import msgspec
from sqlalchemy import select, text

from botwarden.persistence.database import Transaction
from botwarden.persistence.replica_lock import LOCK_CLASS, ReplicaLock
from botwarden.persistence.rows import BOT_COLUMNS, bot_of
from botwarden.persistence.tables import SLOT_COUNT, bot_configs, bot_states
from botwarden.trading.bot import BotConfig, BotId, BotState

__all__ = [
    "Balance",
    "ReplicaLock",
    "beat",
    "changed_since",
    "claim_new_bots",
    "dead_replicas",
    "live_replicas",
    "load_bots",
    "read_balance",
    "register_replica",
    "release_slots",
    "set_draining",
    "take_slots",
    "wanted_slots",
]

#: A replica whose beat is older than this is dead, whatever its lock says.
TIME_TO_LIVE_S = 5.0


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """How the slots are shared, and how they could be."""

    #: Replicas that live and are not on their way out.
    live: frozenset[int]
    #: Slots of nobody, or of the dead.
    takeable: frozenset[int]
    #: Slots that the database counts as the asker's.
    held: frozenset[int]
    #: In how many seconds the next of the living is dead, unless it beats until then.
    next_death_s: float


async def register_replica(tx: Transaction, name: str) -> int:
    """Add a replica and return its id; forget those that have long been dead."""
    await tx.execute(_FORGET)
    result = await tx.execute(_REGISTER, {"name": name})
    return int(result.scalar_one())


async def beat(tx: Transaction, me: int) -> bool:
    """Say that we live; return whether the others still know us."""
    result = await tx.execute(_BEAT, {"me": me})
    return result.rowcount == 1


async def set_draining(tx: Transaction, me: int) -> None:
    """Say that we are on our way out: no slot shall be ours any more."""
    await tx.execute(_DRAIN, {"me": me})


async def dead_replicas(tx: Transaction, me: int) -> frozenset[int]:
    """Return the replicas, other than `me`, whose lock is free or whose beat has expired.

    The session that still holds the lock of an expired one is ended.
    """
    rows = (await tx.execute(_VERDICTS, {"me": me})).all()
    dead = frozenset(row.id for row in rows if not row.fresh or not row.locked)
    frozen = [row.id for row in rows if not row.fresh and row.locked]
    if frozen:
        await tx.execute(_END_SESSIONS, {"ids": frozen})
    return dead


async def live_replicas(tx: Transaction, me: int) -> frozenset[int]:
    """Return the replicas that live and are not draining."""
    return (await read_balance(tx, me)).live


async def read_balance(tx: Transaction, me: int) -> Balance:
    """Return who lives and which slots could be taken, as `me` sees it."""
    dead = await dead_replicas(tx, me)
    living = [row for row in await tx.execute(_REPLICAS) if row.id not in dead]
    slots = (await tx.execute(_SLOTS)).all()
    return Balance(
        live=frozenset(row.id for row in living if not row.draining),
        takeable=frozenset(row.slot for row in slots if row.replica_id is None or row.replica_id in dead),
        held=frozenset(row.slot for row in slots if row.replica_id == me),
        next_death_s=min((row.lives_s for row in living if row.id != me), default=TIME_TO_LIVE_S),
    )


def wanted_slots(live: Collection[int], me: int) -> frozenset[int]:
    """Return the slots that should be `me`'s, by rendezvous hashing.

    Everyone who sees the same replicas comes to the same answer, and a replica that comes or goes moves
    only its own slots.
    """
    owners = _owners(tuple(sorted(live)))
    return frozenset(slot for slot, owner in enumerate(owners) if owner == me)


async def take_slots(tx: Transaction, me: int, slots: Collection[int]) -> frozenset[int]:
    """Take those of the slots that are nobody's or a dead replica's; return them.

    Locks: the slots in order, then their bots in id order.
    """
    dead = await dead_replicas(tx, me)
    if not slots or (await tx.execute(_STAND, {"me": me})).one_or_none() is None:
        return frozenset()
    values = {"me": me, "slots": sorted(slots), "dead": sorted(dead)}
    taken = sorted((await tx.execute(_TAKE, values)).scalars())
    if taken:
        await tx.execute(_LOCK_BOTS, {"slots": taken})
        await tx.execute(_RAISE_TERMS, {"slots": taken})
    return frozenset(taken)


async def release_slots(tx: Transaction, me: int, slots: Collection[int]) -> None:
    """Give up those of the slots that are ours."""
    if slots:
        await tx.execute(_RELEASE, {"me": me, "slots": sorted(slots)})


async def claim_new_bots(tx: Transaction, me: int) -> list[BotId]:
    """Give the bots of our slots that nobody has held yet their slot's term; return them, in id order.

    What somebody else has locked is left for the next time.
    Locks: their slots (shared), then the bots in id order.
    """
    slots = sorted(set((await tx.execute(_NEW_BOTS_SLOTS, {"me": me})).scalars()))
    if not slots:
        return []
    still_ours = sorted((await tx.execute(_SHARE_SLOTS, {"me": me, "slots": slots})).scalars())
    return sorted((await tx.execute(_CLAIM, {"slots": still_ours})).scalars())


async def load_bots(
    tx: Transaction,
    *,
    slots: Collection[int] | None = None,
    holder: int | None = None,
    bot_ids: Collection[BotId] | None = None,
) -> list[tuple[BotConfig, BotState]]:
    """Return the bots of the slots, or those of the ids that exist, in id order.

    With a `holder`, slots that are not this replica's are left out: their terms are others' to write under.
    """
    if slots is not None:
        result = await tx.execute(_LOAD_SLOTS, {"slots": sorted(slots), "holder": holder})
    else:
        result = await tx.execute(_LOAD_BOTS, {"bot_ids": sorted(bot_ids or ()), "holder": holder})
    return [bot_of(row) for row in result]


async def changed_since(tx: Transaction, me: int, seconds: float) -> list[tuple[BotId, int]]:
    """Return id and version of the bots of our slots that changed within the last `seconds`."""
    rows = await tx.execute(_CHANGED, {"me": me, "seconds": seconds})
    return [(BotId(row.bot_id), row.version) for row in rows]


@lru_cache(maxsize=16)
def _owners(live: tuple[int, ...]) -> tuple[int | None, ...]:
    if not live:
        return (None,) * SLOT_COUNT
    return tuple(max(live, key=lambda replica: _weight(replica, slot)) for slot in range(SLOT_COUNT))


def _weight(replica: int, slot: int) -> bytes:
    return blake2b(f"{replica}:{slot}".encode(), digest_size=8).digest()


_FORGET = text("DELETE FROM replicas WHERE beat_at < clock_timestamp() - interval '10 minutes'")
_REGISTER = text("""
    INSERT INTO replicas (name, started_at, beat_at)
    VALUES (:name, clock_timestamp(), clock_timestamp()) RETURNING id
""")
_BEAT = text("UPDATE replicas SET beat_at = clock_timestamp() WHERE id = :me")
_DRAIN = text("UPDATE replicas SET draining = true WHERE id = :me")
_REPLICAS = text(f"""
    SELECT id, draining,
           extract(epoch FROM beat_at - clock_timestamp())::float8 + {TIME_TO_LIVE_S} AS lives_s
    FROM replicas
""")  # noqa: S608 - built from a constant
_SLOTS = text("SELECT slot, replica_id FROM slots ORDER BY slot")
# A lock that can be shared is not held; sharing it lets several peers look at the same time.
_VERDICTS = text(f"""
    SELECT id, beat_at > clock_timestamp() - interval '{TIME_TO_LIVE_S} s' AS fresh,
           NOT pg_try_advisory_xact_lock_shared({LOCK_CLASS}, CAST(id AS integer)) AS locked
    FROM replicas WHERE id <> :me
""")  # noqa: S608 - built from constants
_END_SESSIONS = text(f"""
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {LOCK_CLASS} AND objsubid = 2 AND granted
      AND objid::bigint = ANY(CAST(:ids AS bigint[]))
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")  # noqa: S608 - built from a constant
_STAND = text("SELECT id FROM replicas WHERE id = :me AND NOT draining FOR KEY SHARE")
_TAKE = text("""
    WITH held AS MATERIALIZED (
        SELECT slot FROM slots
        WHERE slot = ANY(CAST(:slots AS smallint[]))
          AND (replica_id IS NULL OR replica_id = ANY(CAST(:dead AS bigint[])))
        ORDER BY slot FOR UPDATE
    )
    UPDATE slots l SET replica_id = :me, term = l.term + 1, changed_at = clock_timestamp()
    FROM held WHERE l.slot = held.slot RETURNING l.slot
""")
_LOCK_BOTS = text("""
    SELECT count(*) FROM (
        SELECT bot_id FROM bot_states WHERE slot = ANY(CAST(:slots AS smallint[]))
        ORDER BY bot_id FOR NO KEY UPDATE
    ) AS locked
""")
_RAISE_TERMS = text("""
    UPDATE bot_states s SET term = l.term FROM slots l
    WHERE l.slot = s.slot AND s.slot = ANY(CAST(:slots AS smallint[]))
""")
_RELEASE = text("""
    WITH held AS MATERIALIZED (
        SELECT slot FROM slots
        WHERE replica_id = :me AND slot = ANY(CAST(:slots AS smallint[])) ORDER BY slot FOR UPDATE
    )
    UPDATE slots l SET replica_id = NULL, changed_at = clock_timestamp() FROM held WHERE l.slot = held.slot
""")
_NEW_BOTS_SLOTS = text("""
    SELECT s.slot FROM bot_states s JOIN slots l ON l.slot = s.slot
    WHERE s.term = 0 AND l.replica_id = :me
""")
_SHARE_SLOTS = text("""
    SELECT slot FROM slots
    WHERE replica_id = :me AND slot = ANY(CAST(:slots AS smallint[])) ORDER BY slot
    FOR SHARE SKIP LOCKED
""")
_CLAIM = text("""
    WITH held AS MATERIALIZED (
        SELECT bot_id FROM bot_states
        WHERE term = 0 AND slot = ANY(CAST(:slots AS smallint[])) ORDER BY bot_id
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE bot_states s SET term = l.term FROM held, slots l
    WHERE s.bot_id = held.bot_id AND l.slot = s.slot RETURNING s.bot_id
""")
_CHANGED = text("""
    SELECT s.bot_id, s.version FROM bot_states s JOIN slots l ON l.slot = s.slot
    WHERE l.replica_id = :me
      AND s.last_updated_at > clock_timestamp() - make_interval(secs => CAST(:seconds AS float8))
""")
_BOTS = select(*BOT_COLUMNS).join(bot_states, bot_states.c.bot_id == bot_configs.c.id)
_LOAD_SLOTS = _BOTS.where(
    text("""
        bot_states.slot IN (
            SELECT slot FROM slots
            WHERE slot = ANY(CAST(:slots AS smallint[]))
              AND (CAST(:holder AS bigint) IS NULL OR replica_id = CAST(:holder AS bigint))
        )
    """)
).order_by(bot_states.c.bot_id)
_LOAD_BOTS = _BOTS.where(
    text("""
        bot_states.bot_id = ANY(CAST(:bot_ids AS bigint[]))
        AND (CAST(:holder AS bigint) IS NULL
             OR EXISTS (SELECT FROM slots WHERE slots.slot = bot_states.slot
                                            AND slots.replica_id = CAST(:holder AS bigint)))
    """)
).order_by(bot_states.c.bot_id)
