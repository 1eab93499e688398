"""Protection at the exchange as the API shows and obeys it."""

import anyio
import pytest

from tests.http.api import problem

pytestmark = pytest.mark.anyio


async def rest(user, bot, **changes):
    """Put a list of the bot at rest, past every rule but the database's own."""
    await user.hold(bot["id"])
    wish = {"is_active": True, "halted_by": None, "orders_made": 2, "resting_list_number": 2}
    await user.set_state(bot["id"], **wish | changes)


async def stop(user, bot):
    return await user.client.post(f"/bots/{bot['id']}/stop")


async def test_protection_is_asked_for_per_bot(user, bot):
    """It is off unless asked for, and a change is taken with the next version."""
    assert bot["exchange_protection"] is False
    answer = await user.client.patch(f"/bots/{bot['id']}", json={"exchange_protection": True})
    assert (answer.status_code, answer.json()["exchange_protection"]) == (200, True)
    assert answer.json()["state"]["version"] == 2
    problem(await user.client.patch(f"/bots/{bot['id']}", json={"exchange_protection": "yes"}), 422)


async def test_the_state_says_what_protects_a_position(user, bot):
    """Nothing while flat or not asked for; then `unprotected` until a list rests."""
    assert (await user.state(bot["id"]))["protection"] is None
    await user.hold(bot["id"])
    assert (await user.state(bot["id"]))["protection"] is None
    await user.client.patch(f"/bots/{bot['id']}", json={"exchange_protection": True})
    assert (await user.state(bot["id"]))["protection"] == "unprotected"
    await rest(user, bot)
    assert (await user.state(bot["id"]))["protection"] == "resting"
    assert (await user.client.get(f"/bots/{bot['id']}")).json()["state"]["protection"] == "resting"


async def test_a_stop_waits_until_the_list_is_cancelled(user, bot):
    """Its cancel is an order in flight of its own; the answer comes when nothing rests any more."""
    await rest(user, bot)
    answers = []

    async def stopping() -> None:
        answers.append(await stop(user, bot))

    async with anyio.create_task_group() as group:
        group.start_soon(stopping)
        while (await user.state(bot["id"]))["status"] != "stopped":
            await anyio.lowlevel.checkpoint()
        await user.set_state(bot["id"], orders_made=3, open_order_number=3)
        assert answers == []
        await user.set_state(bot["id"], open_order_number=None, resting_list_number=None)
    assert answers[0].json() == {"message": "Bot stopped", "bot_config_id": bot["id"]}


async def test_a_stop_says_when_the_list_outlasts_the_wait(user, bot):
    """The stop stands, and the list is still cancelled by whoever runs the bot."""
    await rest(user, bot)
    answer = await stop(user, bot)
    assert answer.json() == {"message": "Bot stopped", "bot_config_id": bot["id"], "order_in_flight": True}


async def test_nothing_is_pulled_from_under_a_resting_list(user, bot):
    """Neither position nor bot, symbol or key go while its orders stand at the exchange."""
    await rest(user, bot, is_active=False, halted_by="owner")
    written = await user.client.put(f"/bot-states/{bot['id']}", json={"in_position": False})
    assert problem(written, 409)
    assert problem(await user.client.delete(f"/bots/{bot['id']}"), 409)
    assert problem(await user.client.patch(f"/bots/{bot['id']}", json={"symbol": "ETHUSDT"}), 409)
