"""Two replicas in processes of their own, one exchange, and an owner whose bots each have an account there.

What the exchange knows is asked with python-binance itself: nothing of ours stands between test and truth.
"""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import asyncpg
import httpx
from anyio.lowlevel import checkpoint

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.fault_plan import Stage
from botwarden.exchange.paper.faults import RequestFault
from botwarden.persistence.database import Database
from chaos import audit
from chaos.network import Network, connected
from chaos.world import Replica, World, opened, until
from tests.exchange.paper.house import client_of

PATIENCE_S = 60
#: Every 0.2 s a candle closes, and a bot has a signal about once a second.
SPEED = 300.0

State = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Hired:
    """A bot and the exchange account that only it trades on."""

    id: int
    symbol: str
    api_key: str
    secret_key: str


@dataclass
class Held:
    """Orders that the exchange holds until they are let go."""

    admin: PaperAdmin
    name: str

    async def reached(self, stage: Stage, count: int = 1) -> dict[str, Any]:
        """Return the counts once so many have come so far."""
        shown = await self.admin.wait_for_fault(self.name, stage=stage, count=count, within_s=PATIENCE_S)
        assert shown["reached"], shown
        return shown

    async def matched(self) -> int:
        """Return how many requests there were that it could have caught."""
        shown = {fault["name"]: fault for fault in await self.admin.faults()}
        return int(shown[self.name]["matched"])


class Fleet:
    """What a test does and sees."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.admin = world.paper_admin
        self.bots: list[Hired] = []
        #: What each replica reaches everything through, if there are lines.
        self.networks: list[Network] = []
        #: Where the books are.
        self.database_url = world.settings.database_url
        self._token = ""

    # Replicas

    async def begin(self) -> None:
        """Let a replica answer, and a new owner sign up."""
        self.bots = []
        await self.serve_one()
        self._token = ""
        who = {"email": f"{secrets.token_hex(8)}@example.com", "password": secrets.token_urlsafe(16)}
        await self.ask("POST", "/auth/register", who)
        self._token = (await self.ask("POST", "/auth/login", who))["access_token"]

    async def end(self) -> None:
        """Let go what is held, and stop every bot."""
        await self.admin.clear_faults()
        await self.serve_one()
        await self.ask("POST", "/bots/stop-all")

    async def serve_one(self) -> None:
        """Start a replica if none runs, and wait until it answers."""
        if all(replica.is_struck for replica in self.world.replicas):
            await self._serve(self.world.replicas[:1])

    async def serve_both(self) -> None:
        """Start the replicas that do not run, and wait until both answer and share the bots."""
        await self._serve(self.world.replicas)
        assert await until(self._share, within_s=PATIENCE_S)

    async def _serve(self, replicas: list[Replica]) -> None:
        for replica in replicas:
            if replica.is_struck:
                replica.kill()
                replica.start()
        for replica in replicas:
            assert await until(partial(_is_ready, replica), within_s=PATIENCE_S), replica.name

    async def _share(self) -> bool:
        holders = [row["replica_id"] for row in await self.sql("SELECT DISTINCT replica_id FROM slots")]
        return None not in holders and len(holders) == len(self.world.replicas)

    def kill_all(self) -> None:
        """Pull the plug of every replica."""
        for replica in self.world.replicas:
            replica.kill()

    async def holder(self, bot: Hired) -> Replica:
        """Return the replica that runs the bot."""
        [row] = await self.sql(_HOLDER, bot.id)
        return next(replica for replica in self.world.replicas if replica.name == row["name"])

    def other(self, than: Replica) -> Replica:
        """Return the replica that is not this one."""
        return next(replica for replica in self.world.replicas if replica is not than)

    @property
    def crashes(self) -> int:
        """How many crashes of actors the replicas have logged so far."""
        log = self.world.servers.data_dir / "log"
        return sum(path.read_text().count("actor.crashed") for path in log.glob("replica-*.log"))

    # The owner

    async def hire(self, **changes: Any) -> Hired:
        """Make a bot that buys and sells about once a second, with an exchange account of its own."""
        pair = {"api_key": secrets.token_hex(16), "secret_key": secrets.token_hex(32)}
        key = await self.ask("POST", "/api-keys", {"label": "own", "venue": "paper", **pair})
        made = await self.ask("POST", "/bots", _WISH | {"api_key_id": key["id"]} | changes)
        bot = Hired(id=made["id"], symbol=made["symbol"], **pair)
        self.bots.append(bot)
        return bot

    async def start(self, bot: Hired, *, at: Replica | None = None) -> None:
        """Start the bot."""
        await self.ask("POST", f"/bots/{bot.id}/start", at=at)

    async def state(self, bot: Hired) -> State:
        """Return the bot's state."""
        shown: State = await self.ask("GET", f"/bot-states/{bot.id}")
        return shown

    async def ask(self, method: str, path: str, body: Any = None, *, at: Replica | None = None) -> Any:
        """Ask one replica: this one, or the first that runs; who cannot now is asked again."""
        once = {} if path.startswith("/auth/") else {"Idempotency-Key": secrets.token_hex(16)}
        answers: list[httpx.Response] = []

        async def is_answered() -> bool:
            answers.append(await client.request(method, path, json=body, headers=once))
            return answers[-1].status_code not in (423, 503)

        async with self.client(at or self._awake()) as client:
            await until(is_answered, within_s=PATIENCE_S)
        answer = answers[-1]
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def client(self, replica: Replica) -> httpx.AsyncClient:
        """Return a client of a replica that is signed in."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return httpx.AsyncClient(base_url=replica.address, headers=headers, timeout=PATIENCE_S)

    async def until(self, holds: Callable[[State], bool], *bots: Hired) -> dict[int, State]:
        """Follow the owner's status stream until it is so of each bot (all, unless named)."""
        wanted = {bot.id for bot in bots or self.bots}
        return await followed(self.client(self._awake()), wanted, holds)

    async def trades_on(self) -> None:
        """Return when every bot has traded once more than by now; by itself, without any help."""
        known = {bot: await self._trades(bot) for bot in self.bots}

        async def has_traded() -> bool:
            return all([await self._trades(bot) > count for bot, count in known.items()])

        assert await until(has_traded, within_s=PATIENCE_S)

    async def _trades(self, bot: Hired) -> int:
        [row] = await self.sql("SELECT count(*) FROM trades WHERE bot_id = $1", bot.id)
        return int(row[0])

    # The exchange and the books

    @asynccontextmanager
    async def fault(self, bot: Hired | None, on: str = "POST order", **outcome: Any) -> AsyncIterator[Held]:
        """Let something become of a bot's requests; at the end it is cleared, and what is held goes on."""
        wish = RequestFault(on=on, api_key=bot.api_key if bot else None, **outcome)
        name = await self.admin.add_fault(wish)
        try:
            yield Held(self.admin, name)
        finally:
            await self.admin.clear_faults(name)

    async def venue_orders(self, bot: Hired) -> list[dict[str, Any]]:
        """Return every order of the bot's account, oldest first, as the exchange tells them."""
        client = client_of(self.world.settings.paper_url, key=bot.api_key, secret=bot.secret_key)
        try:
            orders: list[dict[str, Any]] = await client.get_all_orders(symbol=bot.symbol)
        finally:
            await client.close_connection()
        return sorted(orders, key=lambda order: order["orderId"])

    async def records(self, bot: Hired, what: str) -> list[dict[str, Any]]:
        """Return the bot's `orders`, `trades` or `events` in our books, oldest first."""
        page = await self.ask("GET", f"/bots/{bot.id}/{what}?limit=500")
        return list(reversed(page["items"]))

    async def check_books(self, *bots: Hired) -> None:
        """Stop the bots (all, unless named) and hold their books against the exchange's."""
        await together(*(partial(self._check_books, bot) for bot in bots or self.bots))

    async def _check_books(self, bot: Hired) -> None:
        """Each order at the exchange is one intent and one trade, and none doubles the one before."""
        await self.ask("POST", f"/bots/{bot.id}/stop")
        there = await self.venue_orders(bot)
        ours = [it for it in await self.records(bot, "orders") if it["status"] == "filled"]
        assert [it["client_order_id"] for it in ours] == [it["clientOrderId"] for it in there]
        assert [it["side"] for it in there] == (["BUY", "SELL"] * len(there))[: len(there)]
        assert len(await self.records(bot, "trades")) == len(there)

    async def states(self) -> dict[int, State]:
        """Return the state of each bot by its id."""
        return {bot.id: await self.state(bot) for bot in self.bots}

    async def holds_all(self, replica: Replica) -> bool:
        """Whether this replica holds every slot."""
        rows = await self.sql("SELECT DISTINCT name FROM slots LEFT JOIN replicas r ON r.id = replica_id")
        return [row["name"] for row in rows] == [replica.name]

    async def watch_commits(self) -> None:
        """Have the database note from now on who commits under which term."""
        await self._with_database(audit.install)

    async def superseded_commits(self) -> int:
        """Return how many commits came from a holder whose bots were another's by then."""
        assert await self._with_database(audit.commits_seen) > 0
        return await self._with_database(audit.superseded_commits)

    async def _with_database(self, use: Callable[[Database], Awaitable[T]]) -> T:
        database = Database.connect(self.database_url, name="a test", pool_size=1)
        try:
            return await use(database)
        finally:
            await database.close()

    async def sql(self, statement: str, *words: Any) -> list[asyncpg.Record]:
        """Ask the database past everything."""
        url = self.database_url.replace("postgresql+asyncpg", "postgresql")
        connection = await _connected(url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *words)
        finally:
            await connection.close()
        return rows

    def _awake(self) -> Replica:
        return next(replica for replica in self.world.replicas if not replica.is_struck)


def trades(count: int) -> Callable[[State], bool]:
    """Whether a bot has made so many trades today."""
    return lambda state: state["daily_trades_count"] >= count


async def followed(
    client: httpx.AsyncClient, bot_ids: set[int], holds: Callable[[State], bool]
) -> dict[int, State]:
    """Follow the client's status stream until it is so of each of the bots; return what was seen then."""
    wanted = set(bot_ids)
    seen: dict[int, State] = {}
    with anyio.fail_after(PATIENCE_S):
        async with client, client.stream("GET", "/bots/status-stream") as stream:
            async for line in stream.aiter_lines():
                data = json.loads(line[6:]) if line.startswith("data: ") else {}
                if data.get("id") in wanted and "status" in data:
                    seen[data["id"]] = data
                    if holds(data):
                        wanted.discard(data["id"])
                if not wanted:
                    return seen
    raise AssertionError("the stream ended early")


async def together(*calls: Callable[[], Awaitable[Any]]) -> None:
    """Do all of it at the same time."""
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)


@asynccontextmanager
async def open_fleet(folder: Path, *, through_lines: bool = False) -> AsyncIterator[Fleet]:
    """Yield the fleet, no replica running yet; where asked for, they reach everything through lines."""
    impatient = {"BOTWARDEN_ORDER_TIMEOUT_S": "1.5"}
    async with (
        opened(folder, replicas=2, speed=SPEED, seed=7, more=impatient) as world,
        AsyncExitStack() as stack,
    ):
        fleet = Fleet(world)
        for replica in world.replicas if through_lines else []:
            network = await stack.enter_async_context(connected(world.settings))
            replica.lead_through(network)
            fleet.networks.append(network)
        yield fleet


async def _connected(url: str) -> asyncpg.Connection:
    """Connect, as soon as a server that was killed takes connections again."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            with contextlib.suppress(OSError, asyncpg.CannotConnectNowError):
                return await asyncpg.connect(url)
            await checkpoint()


async def _is_ready(replica: Replica) -> bool:
    with contextlib.suppress(httpx.TransportError):
        async with httpx.AsyncClient(base_url=replica.address.removesuffix("/api/v1")) as client:
            return (await client.get("/health/ready")).is_success
    return False


_WISH: dict[str, Any] = {
    "name": "trader",
    "symbol": "BTCUSDT",
    "strategy": "ema",
    "strategy_params": {"fast": 2, "slow": 3, "rsi_overbought": 99, "rsi_oversold": 1},
    "venue": "paper",
    "check_interval_seconds": 1,
    "initial_capital": 1000,
    "position_size_perc": 20,
    "stop_loss_perc": 50,
    "take_profit_perc": 50,
}
_HOLDER = """
    SELECT name FROM replicas JOIN slots ON slots.replica_id = replicas.id JOIN bot_states USING (slot)
    WHERE bot_id = $1
"""
