"""What is counted when all has healed: the account's own records against the database, and who is watched.

Every count in `wrong` should be zero.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import text

from botwarden.cli.account_records import patiently
from botwarden.persistence import replica_view
from botwarden.persistence.installation import read_tag
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.wiring import Backend, attached
from chaos import audit
from chaos.fleet import Rest
from chaos.world import World, until

_CALM_WITHIN_S = 90.0


@dataclass(slots=True)
class Verdict:
    """What a run has shown."""

    intents: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    venue_orders: int = 0
    trades: int = 0
    #: By holders, of the bots' states.
    commits: int = 0
    #: Should all be zero.
    wrong: dict[str, int] = field(default_factory=dict)
    #: In words, what is behind those that are not.
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was wrong."""
        return not any(self.wrong.values())


async def judge(world: World, rests: list[Rest]) -> Verdict:
    """Wait until nothing is under way, then count."""
    verdict = Verdict()
    async with attached(world.settings) as backend:
        calm = await until(lambda: _is_calm(backend), within_s=_CALM_WITHIN_S)
        verdict.wrong["orders open for ever"] = 0 if calm else await _count(backend, _OPEN)
        watched = await until(lambda: _is_watched(backend), within_s=_CALM_WITHIN_S)
        verdict.wrong["positions without a watched stop"] = 0 if watched else await _unwatched(backend)
        verdict.intents = await _count(backend, "SELECT count(*) FROM orders")
        verdict.trades = await _count(backend, "SELECT count(*) FROM trades")
        verdict.by_status = await _by_status(backend)
        await _hold_against_the_exchange(backend, verdict)
        verdict.wrong["orders intended after an answered stop"] = await _after_stops(backend, rests)
        verdict.wrong["commits by superseded holders"] = await audit.superseded_commits(backend.database)
        verdict.commits = await audit.commits_seen(backend.database)
    _verify_ledger(world, verdict)
    return verdict


async def _hold_against_the_exchange(backend: Backend, verdict: Verdict) -> None:
    """Compare order by order. Exits go on meanwhile, so our books are read before and after theirs."""
    tag, before = await _our_orders(backend)
    seen = await _their_orders(backend)
    _, after = await _our_orders(backend)
    ours = {name: count for name, count in seen.items() if name.startswith(f"bw-{tag}-")}
    verdict.venue_orders = sum(ours.values())
    doubled = [name for name, count in ours.items() if count > 1]
    forgotten = [name for name in ours if after.get(name) in (None, "absent", "never_sent", "rejected")]
    missing = [
        name for name, status in before.items() if status in ("filled", "expired") and name not in ours
    ]
    for what, names in (
        ("intents ordered twice", doubled),
        ("orders forgotten", forgotten),
        ("orders booked that the exchange does not know", missing),
    ):
        verdict.wrong[what] = len(names)
        verdict.notes.extend(f"{what}: {name} ({after.get(name)})" for name in names[:20])


async def _our_orders(backend: Backend) -> tuple[str, dict[str, str]]:
    """Return the installation's tag, and the status of each order by its client order id."""
    async with backend.database.read() as tx:
        rows = await tx.execute(text("SELECT client_order_id, status FROM orders"))
        return await read_tag(tx), {row.client_order_id: row.status for row in rows}


async def _their_orders(backend: Backend) -> Counter[str]:
    """Return how often the exchange has each client order id."""
    async with backend.database.read() as tx:
        accounts = (await tx.execute(text("SELECT DISTINCT api_key_id, symbol FROM orders"))).all()
    seen: Counter[str] = Counter()
    for api_key_id, symbol in accounts:
        account = await backend.exchange.account(Venue.PAPER, ApiKeyId(api_key_id))
        last = 0
        while page := await patiently(partial(account.orders_since, symbol, last)):
            last = page[-1].venue_order_id
            seen.update(order.client_order_id for order in page)
        await account.close()
    return seen


def _verify_ledger(world: World, verdict: Verdict) -> None:
    done = world.command("verify-ledger")
    differences = [line for line in done.stdout.splitlines() if line.startswith("DIFFERENCE")]
    if done.returncode != 0 and not differences:
        differences = [f"verify-ledger failed: {done.stderr.strip()[-500:]}"]
    verdict.wrong["ledger differences"] = len(differences)
    verdict.notes.extend(differences[:20])


async def _is_calm(backend: Backend) -> bool:
    return await _count(backend, _OPEN) == 0


async def _is_watched(backend: Backend) -> bool:
    return await _unwatched(backend) == 0


async def _unwatched(backend: Backend) -> int:
    """Return how many positions of active bots no feed holds a price against."""
    replicas = await replica_view.read_all(backend.cache.redis)
    guarded = sum(feed.positions_guarded for replica in replicas for feed in replica.feeds)
    return abs(await _count(backend, _HELD) - guarded)


async def _after_stops(backend: Backend, rests: list[Rest]) -> int:
    wrong = 0
    for rest in rests:
        given: dict[str, Any] = {"bot_id": rest.bot_id, "since": rest.since, "until": rest.until}
        wrong += await _count(backend, _INTENDED_BETWEEN, **given)
    return wrong


async def _by_status(backend: Backend) -> dict[str, int]:
    async with backend.database.read() as tx:
        rows = await tx.execute(
            text("SELECT status, count(*) AS n FROM orders GROUP BY status ORDER BY status")
        )
        return {row.status: row.n for row in rows}


async def _count(backend: Backend, query: str, **given: Any) -> int:
    async with backend.database.read() as tx:
        return int((await tx.execute(text(query), given)).scalar_one())


_OPEN = "SELECT count(*) FROM bot_states WHERE open_order_number IS NOT NULL"
_HELD = "SELECT count(*) FROM bot_states WHERE is_active AND in_position AND open_order_number IS NULL"
_INTENDED_BETWEEN = """
    SELECT count(*) FROM orders WHERE bot_id = :bot_id AND created_at > :since AND created_at < :until
"""
