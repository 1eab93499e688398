"""The whole API on a real server, with the doors that it needs, and people who use it."""

import itertools
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import httpx
import msgspec
from msgspec.structs import replace

from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Credentials
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.exchange.venues import VenueUrls
from botwarden.http.app import create_app
from botwarden.http.dependencies import HttpDeps, HttpSettings, PaperAccounts
from botwarden.http.server import ApiServer, take_address
from botwarden.http.tokens import hash_token, new_token
from botwarden.persistence import api_keys, bots, users
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database, Transaction
from botwarden.persistence.vault import Vault, keys_from_secret
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, BotId, BotState, Cause, UserId, Venue
from botwarden.trading.decisions import Decision
from botwarden.trading.instruments import Instrument

SETTINGS = HttpSettings(lock_wait_s=0.3, stop_wait_s=0.3)
BASE = "/api/v1"
VAULT = Vault(keys_from_secret("a secret of the tests, long enough"))
NOWHERE = "127.0.0.1:9"

_numbers = itertools.count(1)


@dataclass
class Api:
    """A running server."""

    deps: HttpDeps
    url: str
    redis_url: str = ""
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.deps.database

    def client(self, token: str | None = None, **options: Any) -> httpx.AsyncClient:
        """Return a client, with a bearer token if there is one; it is closed with the server."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        client = httpx.AsyncClient(
            base_url=self.url + BASE,
            headers=headers,
            timeout=20,
            verify=False,  # noqa: S501 - nothing here speaks TLS; loading certificates takes long
            **options,
        )
        self.clients.append(client)
        return client

    async def join(self, role: str = "user") -> "Member":
        """Return somebody new who is logged in."""
        token = new_token()
        async with self.database.begin() as tx:
            user = await users.create_user(tx, f"member{next(_numbers)}@example.org", "no hash", role)
            until = datetime.now(UTC) + timedelta(hours=1)
            await users.create_session(tx, user.id, hash_token(token), until)
        return Member(api=self, id=user.id, email=user.email, token=token, client=self.client(token))


@dataclass
class Member:
    """Somebody who is logged in."""

    api: Api
    id: UserId
    email: str
    token: str
    client: httpx.AsyncClient

    async def store_key(self, venue: str = "testnet") -> int:
        """Store a key pair past the API; return its id."""
        async with self.api.database.begin() as tx:
            view = await api_keys.create_api_key(
                tx,
                VAULT,
                self.id,
                label="key",
                venue=Venue(venue),
                api_key=f"key-{next(_numbers)}-of-the-tests",
                secret_key="a secret of the tests",
            )
        return view.id

    async def make_bot(self, api_key_id: int | None = None, **changes: Any) -> dict[str, Any]:
        """Make a bot by the API; return what it answers."""
        wish = bot_wish(api_key_id or await self.store_key()) | changes
        answer = await self.client.post("/bots", json=wish)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def state(self, bot_id: int) -> dict[str, Any]:
        """Return the state as the API shows it."""
        return (await self.client.get(f"/bot-states/{bot_id}")).json()

    async def row(self, bot_id: int) -> BotState:
        """Return the state as the database has it."""
        async with self.api.database.read() as tx:
            return (await bots.read_bot(tx, self.id, BotId(bot_id))).state

    async def set_state(self, bot_id: int, **changes: Any) -> BotState:
        """Commit a change as the running bot would."""
        async with self.api.database.begin() as tx:
            _, before = await bots.lock_bot(tx, self.id, BotId(bot_id))
            return await self.put_locked(tx, before, **changes)

    async def put_locked(self, tx: Transaction, before: BotState, **changes: Any) -> BotState:
        """Change a state whose row is locked already."""
        decision = Decision(state=replace(before, **changes), cause=Cause.STRATEGY, kind="test.changed")
        return await bots.save_bot(tx, before, decision)

    async def copy_bot(self, bot_id: int, api_key_id: int, venue: str) -> BotId:
        """Make a bot like another one on another venue, past the API."""
        async with self.api.database.begin() as tx:
            config = (await bots.read_bot(tx, self.id, BotId(bot_id))).config
            fields = {name: getattr(config, name) for name in bots.NewBot.__struct_fields__}
            fields |= {"api_key_id": api_key_id, "venue": Venue(venue)}
            return (await bots.create_bot(tx, self.id, bots.NewBot(**fields))).config.id

    async def hold(self, bot_id: int, size: str = "0.5", entry: str = "60000") -> BotState:
        """Let the bot hold a position."""
        return await self.set_state(
            bot_id,
            in_position=True,
            current_position_size_coins=Decimal(size),
            entry_price=Decimal(entry),
            position_cost_quote=Decimal(size) * Decimal(entry),
        )


def bot_wish(api_key_id: int) -> dict[str, Any]:
    """Return what is needed to make a bot, and no more."""
    return {
        "name": "one",
        "symbol": "BTCUSDT",
        "strategy": "ema",
        "venue": "testnet",
        "api_key_id": api_key_id,
        "stop_loss_perc": 2,
        "take_profit_perc": 4,
        "position_size_perc": 10,
    }


def instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        base_asset=symbol.removesuffix("USDT"),
        quote_asset="USDT",
        status="TRADING",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.00001"),
        min_quantity=Decimal("0.00001"),
        max_quantity=Decimal(9000),
        min_notional=Decimal(5),
        quote_precision=8,
        base_precision=8,
    )


async def remember_symbols(cache: JsonCache, symbols: Collection[str]) -> None:
    """Keep a catalogue where another replica would have left it."""
    listed = {symbol: instrument(symbol) for symbol in symbols}
    for venue in ("testnet", "live"):
        await cache.set(f"symbols:{venue}", listed, 600)


@asynccontextmanager
async def open_deps(
    database: Database,
    redis_url: str,
    settings: HttpSettings = SETTINGS,
    *,
    paper: str = NOWHERE,
    paper_admin: PaperAccounts | None = None,
    lists: Collection[str] = ("BTCUSDT", "ETHUSDT"),
) -> AsyncIterator[HttpDeps]:
    """Open the doors to a database, a Redis and venues of which only `paper` may answer.

    The others list the symbols `lists`.
    """

    async def open_secret(api_key_id: ApiKeyId) -> Credentials:
        async with database.read() as tx:
            api_key, secret_key = await api_keys.open_api_key(tx, VAULT, api_key_id)
        return Credentials(api_key=api_key, secret_key=secret_key)

    clock = SystemClock()
    broadcast, cache = Broadcast(redis_url), JsonCache(redis_url)
    nowhere = VenueUrls(rest=f"http://{NOWHERE}/api", stream=f"ws://{NOWHERE}")
    venues: Mapping[Venue, VenueUrls] = {
        Venue.PAPER: VenueUrls(rest=f"http://{paper}/api", stream=f"ws://{paper}"),
        Venue.TESTNET: nowhere,
        Venue.LIVE: nowhere,
    }
    exchange = BinanceExchange(venues, open_secret, clock)
    symbols = SymbolCatalogue(exchange, cache, clock)
    await remember_symbols(cache, lists)
    for venue in (Venue.TESTNET, Venue.LIVE):
        await symbols.instruments(venue)
    async with anyio.create_task_group() as duties:
        duties.start_soon(broadcast.run)
        yield HttpDeps(
            database=database,
            broadcast=broadcast,
            cache=cache,
            vault=VAULT,
            exchange=exchange,
            symbols=symbols,
            paper_admin=paper_admin,
            clock=clock,
            stopping=anyio.Event(),
            settings=settings,
        )
        duties.cancel_scope.cancel()
    await exchange.close()
    await cache.close()
    await broadcast.close()


@asynccontextmanager
async def open_api(deps: HttpDeps) -> AsyncIterator[Api]:
    """Serve the whole API on a free port until the end."""
    server = ApiServer(create_app(deps), take_address("127.0.0.1", 0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(10):
            api = Api(deps, await server.address())
        try:
            yield api
        finally:
            for client in api.clients:
                await client.aclose()
            deps.stopping.set()
            with anyio.fail_after(10):
                await server.stop()


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem that an answer has to be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert {"type", "title", "detail"} <= set(body)
    return body


def bad_fields(answer: httpx.Response) -> list[str]:
    """Return the fields that a 422 names, in order."""
    return sorted({it["field"] for it in problem(answer, 422)["errors"]})


def exact(answer: httpx.Response) -> Any:
    """Return the body with its numbers as they were written."""
    return msgspec.json.Decoder(float_hook=Decimal).decode(answer.content)
