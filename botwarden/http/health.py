"""GET /health/live and /health/ready: whether to restart this replica, and whether to send it requests.

Only what this replica cannot serve without makes it unready: the database, its schema, and draining. All
else is *degraded* with 200, because sending requests to another replica would not help. So is a schema that a
later release has migrated: steps only add, and this replica serves until its turn in the upgrade comes.
"""

from collections.abc import Sequence

import anyio
import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

from botwarden.errors import Unavailable
from botwarden.http.single_flight import SingleFlight
from botwarden.persistence import migrate, replica_view
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.persistence.replica_view import ReplicaView

OK = "ok"
DEGRADED = "degraded"
FAILED = "failed"

#: A check that takes longer has failed.
_WITHIN_S = 2.0


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests should come here, and what is wrong if anything is."""

    #: `ok`, `degraded`, `draining` or `failed`.
    status: str
    #: Each is `ok`, `degraded` or `failed`.
    checks: dict[str, str]
    #: One sentence for each check that is not ok.
    reasons: dict[str, str]

    @property
    def is_ready(self) -> bool:
        """Whether requests should come here."""
        return self.status in (OK, DEGRADED)


class Checkup:
    """Looks at everything this replica needs; callers at the same time share one look."""

    def __init__(self, database: Database, cache: JsonCache, stopping: anyio.Event) -> None:
        self._database = database
        self._cache = cache
        self._stopping = stopping
        self._looks = SingleFlight(self._look)

    async def read(self) -> Readiness:
        """Return how things stand."""
        wrong = await self._looks.read("all")
        checks = dict.fromkeys(("database", "schema", "redis", "feeds", "venues"), OK)
        checks |= {name: _severity(name, reason) for name, reason in wrong.items()}
        status = FAILED if FAILED in checks.values() else DEGRADED if wrong else OK
        return Readiness(
            status="draining" if self._stopping.is_set() else status, checks=checks, reasons=wrong
        )

    async def _look(self, _key: str) -> dict[str, str]:
        wrong: dict[str, str] = {}
        async with anyio.create_task_group() as group:
            group.start_soon(self._look_at_database, wrong)
            group.start_soon(self._look_at_redis, wrong)
        return wrong

    async def _look_at_database(self, wrong: dict[str, str]) -> None:
        try:
            with anyio.fail_after(_WITHIN_S):
                await self._database.check()
                match migrate.standing(await migrate.current(self._database.engine)):
                    case migrate.Standing.OLDER:
                        wrong["schema"] = "The schema is not at head: run `botwarden migrate`."
                    case migrate.Standing.NEWER:
                        wrong["schema"] = migrate.NEWER_THAN_THIS
        except (Unavailable, TimeoutError):
            wrong["database"] = "The database does not answer."
            wrong["schema"] = "The database does not answer."

    async def _look_at_redis(self, wrong: dict[str, str]) -> None:
        try:
            with anyio.fail_after(_WITHIN_S):
                wrong |= ailments(await replica_view.read_all(self._cache.redis))
        except (Unavailable, TimeoutError):
            wrong["redis"] = "Redis does not answer: live streams are slower."
            wrong["feeds"] = wrong["venues"] = "Unknown while Redis does not answer."


def ailments(views: Sequence[ReplicaView]) -> dict[str, str]:
    """Return what is wrong with feeds and venues, in a sentence each."""
    wrong: dict[str, str] = {}
    feeds = {f"{feed.venue} {feed.symbol}" for view in views for feed in view.feeds if feed.state != "live"}
    venues = {f"{it.venue} {it.state}" for view in views for it in view.venues if it.state != OK}
    if feeds:
        wrong["feeds"] = f"No prices: {', '.join(sorted(feeds)[:10])}."
    if venues:
        wrong["venues"] = f"Venues: {', '.join(sorted(venues))}."
    return wrong


def _severity(name: str, reason: str) -> str:
    is_needed = name in ("database", "schema") and reason != migrate.NEWER_THAN_THIS
    return FAILED if is_needed else DEGRADED


@get("/health/live", opt={"exclude_from_auth": True}, tags=["health"], summary="Is the process alive?")
async def read_live() -> dict[str, str]:
    """Answer as long as the process can answer at all."""
    return {"status": OK}


@get("/health/ready", opt={"exclude_from_auth": True}, tags=["health"], summary="Should requests come here?")
async def read_ready(checkup: NamedDependency[Checkup]) -> Response[Readiness]:
    """Return each check; 503 only for the database, its schema, or draining."""
    readiness = await checkup.read()
    if readiness.is_ready:
        return Response(readiness)
    return Response(readiness, status_code=503, headers={"retry-after": "1"})


routes = [read_live, read_ready]
