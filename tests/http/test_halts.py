"""The emergency brake by the contract."""

import pytest

from tests.http.api import problem

pytestmark = pytest.mark.anyio


async def test_halted_account_starts_nothing(user, bot):
    """While the brake is on, start and PUT of `pending` are 409; stop works, and a running bot stays one."""
    other = await user.make_bot()
    assert (await user.client.post(f"/bots/{other['id']}/start")).status_code == 200
    assert (await user.client.put("/halt")).status_code == 204
    assert (await user.client.put("/halt")).status_code == 204
    shown = (await user.client.get("/halt")).json()
    assert (shown["halted"], shown["scope"]) == (True, "account")
    assert shown["set_at"].endswith("Z")
    problem(await user.client.post(f"/bots/{bot['id']}/start"), 409)
    problem(await user.client.put(f"/bot-states/{bot['id']}", json={"status": "pending"}), 409)
    assert (await user.state(bot["id"]))["version"] == 1
    assert (await user.client.post(f"/bots/{other['id']}/start")).status_code == 200
    assert (await user.client.put(f"/bot-states/{other['id']}", json={"daily_pnl": 1})).status_code == 200
    assert (await user.client.post(f"/bots/{other['id']}/stop")).status_code == 200
    assert (await user.client.delete("/halt")).status_code == 204
    assert (await user.client.get("/halt")).json() == {"halted": False, "scope": None, "set_at": None}
    assert (await user.client.post(f"/bots/{bot['id']}/start")).status_code == 200


async def test_brake_holds_only_its_account(user, other_user):
    """Another account's brake is no business of mine."""
    await other_user.client.put("/halt")
    bot = await user.make_bot()
    assert (await user.client.get("/halt")).json()["halted"] is False
    assert (await user.client.post(f"/bots/{bot['id']}/start")).status_code == 200


async def test_exits_go_on_while_halted(user, bot):
    """A position can be closed under the brake."""
    await user.hold(bot["id"])
    await user.client.put("/halt")
    assert (await user.client.post(f"/bots/{bot['id']}/close-position")).status_code == 202


async def test_administrators_halt_everyone(own_api):
    """Everyone's brake is for administrators; it holds every account and leaves their own brakes alone."""
    admin, user = await own_api.join("admin"), await own_api.join()
    bot = await user.make_bot()
    for method in ("GET", "PUT", "DELETE"):
        problem(await user.client.request(method, "/halt/all"), 403)
    assert (await admin.client.put("/halt/all")).status_code == 204
    assert (await admin.client.get("/halt/all")).json()["scope"] == "everyone"
    assert (await user.client.get("/halt")).json()["scope"] == "everyone"
    problem(await user.client.post(f"/bots/{bot['id']}/start"), 409)
    await user.client.delete("/halt")
    problem(await user.client.post(f"/bots/{bot['id']}/start"), 409)
    assert (await admin.client.delete("/halt/all")).status_code == 204
    assert (await user.client.post(f"/bots/{bot['id']}/start")).status_code == 200
