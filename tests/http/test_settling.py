"""A stop by PUT and a brake are answered when nothing that was intended before can be executed any more."""

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint
from httpx import Response
from msgspec.structs import replace
from sqlalchemy import text

from tests.http.api import SETTINGS, Api, Member, open_api, open_deps

pytestmark = pytest.mark.anyio

RUNS = {"is_active": True, "halted_by": None, "status": "running", "orders_made": 1}


@pytest.fixture
async def patient(database, redis_url) -> AsyncIterator[Api]:
    """An API that waits for as long as any test takes."""
    settings = replace(SETTINGS, stop_wait_s=50)
    async with open_deps(database, redis_url, settings) as deps, open_api(deps) as api:
        yield api


async def while_waiting(
    request: Callable[[], Awaitable[Response]],
    has_begun: Callable[[], Awaitable[bool]],
    end: Callable[[], Awaitable[object]],
) -> tuple[bool, Response]:
    """Ask, and once it has its effect end what it waits for; return whether it was answered before that."""
    answers: list[Response] = []

    async def ask() -> None:
        answers.append(await request())

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        while not await has_begun():
            await checkpoint()
        early = bool(answers)
        await end()
    return early, answers[0]


async def test_a_put_of_stopped_waits_as_a_stop_does(patient):
    """PUT of `stopped` is answered with the state after the order in flight was settled."""
    user = await patient.join()
    bot = await user.make_bot()
    await user.set_state(bot["id"], **RUNS, open_order_number=1)

    async def has_stopped() -> bool:
        return not (await user.row(bot["id"])).is_active

    early, answer = await while_waiting(
        lambda: user.client.put(f"/bot-states/{bot['id']}", json={"status": "stopped"}),
        has_stopped,
        lambda: user.set_state(bot["id"], open_order_number=None, daily_trades_count=1),
    )
    assert not early
    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["daily_trades_count"]) == (200, "stopped", 1)
    assert answer.headers["etag"] == f'"{shown["version"]}"'
    assert shown["version"] == (await user.row(bot["id"])).version


async def order(api: Api, user: Member, bot_id: int, *, side: str, status: str = "open") -> None:
    """Write an order of the bot, as its intent would."""
    async with api.database.begin() as tx:
        await tx.execute(
            text(_ORDER),
            {"bot": bot_id, "user": user.id, "side": side, "status": status, "id": f"bw-{bot_id}"},
        )


async def settle(api: Api, bot_id: int) -> None:
    """Settle the bot's order."""
    async with api.database.begin() as tx:
        settled = "UPDATE orders SET status = 'absent', settled_at = now() WHERE bot_id = :bot"
        await tx.execute(text(settled), {"bot": bot_id})


@pytest.mark.parametrize("path", ["/halt", "/halt/all"])
async def test_a_brake_waits_for_entries_on_their_way(patient, path):
    """The brake holds from its commit on, and is answered when no entry can follow any more."""
    user, admin = await patient.join(), await patient.join("admin")
    who = admin if path == "/halt/all" else user
    bot = await user.make_bot()
    await order(patient, user, bot["id"], side="BUY")

    async def is_on() -> bool:
        return bool((await user.client.get("/halt")).json()["halted"])

    early, answer = await while_waiting(
        lambda: who.client.put(path), is_on, lambda: settle(patient, bot["id"])
    )
    assert (early, answer.status_code) == (False, 204)


async def test_a_brake_waits_neither_for_exits_nor_for_strangers(patient):
    """An exit in flight goes on under the brake, and another account's entry is none of ours."""
    user, stranger = await patient.join(), await patient.join()
    mine, theirs = await user.make_bot(), await stranger.make_bot()
    await order(patient, user, mine["id"], side="SELL")
    await order(patient, stranger, theirs["id"], side="BUY")
    assert (await user.client.put("/halt")).status_code == 204


_ORDER = """
    INSERT INTO orders (bot_id, number, user_id, api_key_id, venue, symbol, side, reason, quantity_base,
                        decided_price_quote, client_order_id, intended_at, status)
    VALUES (:bot, 1, :user, 1, 'testnet', 'BTCUSDT', :side, 'signal', 1, 60000, :id, now(), :status)
"""
