"""Start, stop, close and stop-all by the contract."""

import anyio
import pytest

from botwarden.http import bot_commands
from botwarden.persistence import bots
from tests.http.api import problem

pytestmark = pytest.mark.anyio


async def command(user, bot, word):
    return await user.client.post(f"/bots/{bot['id']}/{word}")


async def test_start_and_stop_answer_as_the_contract_says(user, bot):
    """Start makes an active, pending bot, and stop a stopped one; each is one version."""
    started = await command(user, bot, "start")
    assert (started.status_code, started.json()) == (
        200,
        {"message": "Bot started", "bot_config_id": bot["id"]},
    )
    shown = (await user.client.get(f"/bots/{bot['id']}")).json()
    assert (shown["is_active"], shown["state"]["status"], shown["state"]["version"]) == (True, "pending", 2)
    stopped = await command(user, bot, "stop")
    assert (stopped.status_code, stopped.json()) == (
        200,
        {"message": "Bot stopped", "bot_config_id": bot["id"]},
    )
    shown = (await user.client.get(f"/bots/{bot['id']}")).json()
    assert (shown["is_active"], shown["state"]["status"], shown["state"]["version"]) == (False, "stopped", 3)


async def test_start_of_a_running_bot_changes_nothing(user, bot):
    """Start pressed five times is one start (peer 1: five orders)."""
    await user.set_state(bot["id"], is_active=True, status="running", halted_by=None)
    before = await user.state(bot["id"])
    for _ in range(5):
        assert (await command(user, bot, "start")).status_code == 200
    assert await user.state(bot["id"]) == before


async def test_stop_keeps_and_shows_the_position(user, bot):
    """A stopped bot keeps its position, and says that nobody watches it."""
    await command(user, bot, "start")
    await user.hold(bot["id"])
    await command(user, bot, "stop")
    state = await user.state(bot["id"])
    assert (state["in_position"], state["unwatched_position"], state["status"]) == (True, True, "stopped")


async def test_stop_waits_for_an_order_in_flight(user, bot):
    """An order in flight is waited for, and then the answer does not mention it."""
    running = {"is_active": True, "halted_by": None, "status": "running"}
    await user.set_state(bot["id"], **running, orders_made=1, open_order_number=1)
    answers = []

    async def stop() -> None:
        answers.append(await command(user, bot, "stop"))

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        while (await user.state(bot["id"]))["status"] != "stopped":
            await anyio.lowlevel.checkpoint()
        await user.set_state(bot["id"], open_order_number=None)
    assert answers[0].json() == {"message": "Bot stopped", "bot_config_id": bot["id"]}


async def test_stop_says_when_the_order_outlasts_the_wait(user, bot):
    """After the longest wait a stop is answered all the same, with `order_in_flight`."""
    await user.set_state(bot["id"], is_active=True, halted_by=None, orders_made=1, open_order_number=1)
    answer = await command(user, bot, "stop")
    assert answer.json() == {"message": "Bot stopped", "bot_config_id": bot["id"], "order_in_flight": True}
    assert (await user.state(bot["id"]))["status"] == "stopped"


async def test_close_is_durable_and_withdrawn_by_a_stop(user, bot):
    """A close is 202 on a running and on a stopped bot, 409 without a position; a later stop withdraws it."""
    problem(await command(user, bot, "close-position"), 409)
    await user.hold(bot["id"])
    answer = await command(user, bot, "close-position")
    assert (answer.status_code, answer.json()["bot_config_id"]) == (202, bot["id"])
    assert (await user.row(bot["id"])).close_requested_at is not None
    assert (await command(user, bot, "close-position")).status_code == 202
    await command(user, bot, "stop")
    assert (await user.row(bot["id"])).close_requested_at is None


async def test_stop_all_stops_every_bot_once(user, api_key):
    """Every active bot is stopped and counted; a second time there is nothing to do."""
    made = [await user.make_bot(api_key) for _ in range(5)]
    for bot in made[:3]:
        await command(user, bot, "start")
    await user.hold(made[0]["id"])
    answer = await user.client.post("/bots/stop-all")
    assert (answer.status_code, answer.json()) == (202, {"stopped": 3, "closing": 0})
    for bot in made:
        assert (await user.state(bot["id"]))["status"] == "stopped"
    assert (await user.client.post("/bots/stop-all")).json() == {"stopped": 0, "closing": 0}
    assert (await user.row(made[0]["id"])).close_requested_at is None


async def test_stop_all_sells_positions_on_request(user, api_key):
    """With `close_positions` a position is sold before its bot stops, a stopped bot's too."""
    made = [await user.make_bot(api_key) for _ in range(4)]
    for bot in made[:2]:
        await command(user, bot, "start")
    await user.hold(made[0]["id"])
    await user.hold(made[3]["id"])
    answer = await user.client.post("/bots/stop-all", params={"close_positions": "true"})
    assert answer.json() == {"stopped": 1, "closing": 2}
    closing = [(await user.row(bot["id"])).close_requested_at is not None for bot in made]
    assert closing == [True, False, False, True]


async def test_stop_all_sells_what_an_entry_in_flight_brings(user, bot):
    """The close request waits for the position that is on its way."""
    await user.set_state(bot["id"], is_active=True, halted_by=None, orders_made=1, open_order_number=1)
    answer = await user.client.post("/bots/stop-all", params={"close_positions": "true"})
    assert answer.json() == {"stopped": 0, "closing": 1}
    assert (await user.row(bot["id"])).close_requested_at is not None


async def test_stop_all_reaches_bots_that_change_meanwhile(api, user, api_key):
    """A row that moves while everything is stopped is stopped as well."""
    made = [await user.make_bot(api_key) for _ in range(3)]
    for bot in made:
        await command(user, bot, "start")
    answers = []

    async def stop_all() -> None:
        answers.append(await user.client.post("/bots/stop-all"))

    async with anyio.create_task_group() as group, api.database.begin() as tx:
        _, before = await bots.lock_bot(tx, user.id, made[1]["id"])
        group.start_soon(stop_all)
        for _ in range(5):
            await user.state(made[1]["id"])
        await user.put_locked(tx, before, daily_trades_count=7)
    assert answers[0].json() == {"stopped": 3, "closing": 0}
    state = await user.state(made[1]["id"])
    assert (state["status"], state["daily_trades_count"]) == ("stopped", 7)


async def test_stop_all_names_what_it_could_not_stop(api, user, api_key):
    """A row that stays locked is 423, and all the other bots are stopped."""
    made = [await user.make_bot(api_key) for _ in range(3)]
    for bot in made:
        await command(user, bot, "start")
    async with api.database.begin() as tx:
        await bots.lock_bot(tx, user.id, made[0]["id"])
        with anyio.fail_after(20):
            answer = await keep_awake(tx, user)
    problem(answer, 423)
    assert [(await user.state(bot["id"]))["status"] for bot in made] == ["pending", "stopped", "stopped"]


async def test_stop_all_goes_on_to_the_next_page_after_a_locked_row(api, user, api_key, monkeypatch):
    """A row that stays locked keeps no other page from being stopped, and the answer names its bot."""
    monkeypatch.setattr(bot_commands, "_BATCH", 1)
    made = [await user.make_bot(api_key) for _ in range(3)]
    for bot in made:
        await command(user, bot, "start")
    async with api.database.begin() as tx:
        await bots.lock_bot(tx, user.id, made[0]["id"])
        with anyio.fail_after(20):
            answer = await keep_awake(tx, user)
    problem(answer, 423)
    assert f"not stopped: {made[0]['id']}." in answer.json()["detail"]
    assert [(await user.state(bot["id"]))["status"] for bot in made] == ["pending", "stopped", "stopped"]


async def keep_awake(tx, user):
    """Ask to stop everything while a transaction holds its row and does not fall asleep."""
    answers = []

    async def ask() -> None:
        answers.append(await user.client.post("/bots/stop-all"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        while not answers:
            await bots.read_states(tx, [])
    return answers[0]
