"""The demo account of `up`, and the bots that it begins with."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
import httpx

from botwarden.persistence.database import Database
from botwarden.persistence.passwords import hash_password
from botwarden.persistence.users import count_users, create_session, create_user, find_user_by_email
from botwarden.runtime import SystemClock
from botwarden.settings import Settings

EMAIL = "demo@example.com"


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """Who it is; the password only when it was just made."""

    email: str
    password: str | None


async def find_or_make_demo_account(settings: Settings) -> DemoAccount:
    """Make the demo account in a database that has no user yet."""
    database = Database.connect(settings.database_url, pool_size=2)
    try:
        async with database.begin() as tx:
            if await count_users(tx) > 0:
                return DemoAccount(EMAIL, None)
        password = secrets.token_urlsafe(12)
        hashed = await hash_password(password)
        async with database.begin() as tx:
            await create_user(tx, EMAIL, hashed)
        return DemoAccount(EMAIL, password)
    finally:
        await database.close()


async def seed_bots(settings: Settings, address: str, wanted: int) -> None:
    """See to `wanted` active bots of the demo account, through the API."""
    token = await _token(settings)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{address}/api/v1", headers=headers, timeout=60.0) as client:
        listed = (await client.get("/bots", params={"limit": 500})).raise_for_status().json()["items"]
        missing = wanted - sum(bot["is_active"] for bot in listed)
        if missing <= 0:
            return
        key_id = await _key(client)
        found = (await client.get("/symbols", params={"venue": "paper"})).raise_for_status().json()
        symbols = sorted(item["symbol"] for item in found["items"])
        with click.progressbar(range(missing), label=f"Starting {missing} demo bots") as numbers:
            for number in numbers:
                made = await client.post("/bots", json=_wish(number, symbols[number % len(symbols)], key_id))
                await client.post(f"/bots/{made.raise_for_status().json()['id']}/start")


async def _token(settings: Settings) -> str:
    token = secrets.token_urlsafe(32)
    database = Database.connect(settings.database_url, pool_size=2)
    try:
        async with database.begin() as tx:
            user = await find_user_by_email(tx, EMAIL)
            if user is None:
                raise click.ClickException("There is no demo account in this database to give bots to.")
            digest = hashlib.sha256(token.encode()).digest()
            await create_session(tx, user.id, digest, SystemClock().now() + timedelta(hours=1))
    finally:
        await database.close()
    return token


async def _key(client: httpx.AsyncClient) -> int:
    keys = (await client.get("/api-keys")).raise_for_status().json()["items"]
    for key in keys:
        if key["venue"] == "paper":
            return int(key["id"])
    pair = {"api_key": secrets.token_hex(16), "secret_key": secrets.token_hex(32)}
    made = await client.post("/api-keys", json={"label": "demo", "venue": "paper", **pair})
    return int(made.raise_for_status().json()["id"])


def _wish(number: int, symbol: str, key_id: int) -> dict[str, Any]:
    fast, slow = [(3, 8), (5, 13), (9, 21), (12, 26)][number // 7 % 4]
    return {
        "name": f"demo {number + 1} {symbol}",
        "symbol": symbol,
        "strategy": "ema",
        "strategy_params": {"fast": fast, "slow": slow},
        "venue": "paper",
        "api_key_id": key_id,
        "initial_capital": 1000,
        "position_size_perc": 20,
        "stop_loss_perc": 2,
        "take_profit_perc": 3,
        "trailing_stop_perc": 1.5,
        "trailing_stop_active": number % 2 == 1,
    }
