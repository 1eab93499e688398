"""Accounts and bots that trade all the time, and an owner who stops and starts them.

What the owner was answered is kept: between a stop's answer and the next start nothing may be intended.
"""

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT")
BOTS_PER_KEY = 6
_SETTLE_WITHIN_S = 120.0
_ASK_WITHIN = httpx.Timeout(15.0)


@dataclass(slots=True)
class Rest:
    """A time in which a bot was stopped, by the owner's clock, which is the database's too."""

    bot_id: int
    #: When the stop was answered.
    since: datetime
    #: When the start was asked for.
    until: datetime = field(default=datetime.max.replace(tzinfo=UTC))


class Fleet:
    """One user with some keys and many bots, reached through whichever replica answers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._who = {"email": "owner@example.com", "password": secrets.token_urlsafe(16)}
        self._token = ""
        self.bots: list[int] = []
        self.rests: list[Rest] = []

    async def settle_in(self, count: int) -> None:
        """Make the account, its keys and its bots, and start them.

        Raises:
            TimeoutError: no replica answers.
        """
        with anyio.fail_after(_SETTLE_WITHIN_S):
            await self._settle_in(count)

    async def _settle_in(self, count: int) -> None:
        await self._ask("POST", "/auth/register", self._who)
        self._token = (await self._ask("POST", "/auth/login", self._who))["access_token"]
        for first in range(0, count, BOTS_PER_KEY):
            pair = {"api_key": secrets.token_hex(16), "secret_key": secrets.token_hex(32)}
            key = await self._ask("POST", "/api-keys", {"label": "chaos", "venue": "paper", **pair})
            for number in range(first, min(first + BOTS_PER_KEY, count)):
                bot = await self._ask("POST", "/bots", _wish(number, key["id"]))
                await self._ask("POST", f"/bots/{bot['id']}/start")
                self.bots.append(bot["id"])

    async def interfere(self, rng: random.Random) -> None:
        """Stop and start bots for ever, as an owner would in a panic."""
        while True:
            bot_id = rng.choice(self.bots)
            await self._ask("POST", f"/bots/{bot_id}/stop")
            rest = Rest(bot_id, since=datetime.now(UTC))
            self.rests.append(rest)
            await anyio.sleep(rng.uniform(0.5, 6.0))
            rest.until = datetime.now(UTC)
            await self._ask("POST", f"/bots/{bot_id}/start")

    def client(self, address: str) -> httpx.AsyncClient:
        """Return a client of one replica that is signed in."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.AsyncClient(base_url=address, headers=headers, timeout=_ASK_WITHIN)

    async def brake(self) -> None:
        """Let no bot enter any more; exits go on."""
        await self._ask("PUT", "/halt")

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask one replica after the other until one answers; what was done already stays done once."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if "/auth/" not in path:
            headers["Idempotency-Key"] = secrets.token_hex(16)
        while True:
            for address in self._addresses:
                async with httpx.AsyncClient(
                    base_url=address, headers=headers, timeout=_ASK_WITHIN
                ) as client:
                    try:
                        answer = await client.request(method, path, json=body)
                    except httpx.TransportError:
                        continue
                if answer.is_success:
                    return answer.json() if answer.content else None
                if answer.status_code not in (409, 423, 429, 503):
                    raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
            await anyio.sleep(0.2)


def _wish(number: int, api_key_id: int) -> dict[str, Any]:
    """Return a bot that trades often: fast averages, narrow stops."""
    return {
        "name": f"chaos {number + 1}",
        "symbol": SYMBOLS[number % len(SYMBOLS)],
        "strategy": "ema",
        "strategy_params": {"fast": 2, "slow": 3 + number % 3, "rsi_overbought": 99, "rsi_oversold": 1},
        "venue": "paper",
        "api_key_id": api_key_id,
        "check_interval_seconds": 1,
        "initial_capital": 1000,
        "position_size_perc": 20 + number % 5,
        "stop_loss_perc": 0.5,
        "take_profit_perc": 0.5,
        "trailing_stop_perc": 0.4,
        "trailing_stop_active": number % 2 == 1,
    }
