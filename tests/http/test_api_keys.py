"""Key pairs of the exchange by the contract; the paper exchange itself has its tests elsewhere."""

import pytest

from tests.http.api import bad_fields, problem

pytestmark = pytest.mark.anyio

SECRET = "a-secret-that-nobody-may-see"


def new_key(**changes):
    key = {"label": "main", "venue": "testnet", "api_key": "AbCd" + "x" * 20 + "WxYz", "secret_key": SECRET}
    return key | changes


async def test_stored_key_shows_a_hint_only(user):
    """A stored pair is answered with a hint; neither key nor secret is ever shown."""
    answer = await user.client.post("/api-keys", json=new_key())
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    assert set(stored) == {"id", "label", "venue", "api_key_hint", "created_at"}
    assert stored["api_key_hint"] == "AbCd…WxYz"
    listed = await user.client.get("/api-keys")
    assert listed.json() == {"items": [stored]}
    assert SECRET not in answer.text + listed.text
    assert "x" * 20 not in answer.text + listed.text


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"label": " "}, ["label"]),
        ({"label": "x" * 101}, ["label"]),
        ({"venue": "binance"}, ["venue"]),
        ({"api_key": ""}, ["api_key"]),
        ({"api_key": "with space", "secret_key": "ü"}, ["api_key", "secret_key"]),
        ({"secret_key": None}, ["secret_key"]),
        ({"user_id": 1}, ["user_id"]),
        ({"venue": "paper"}, ["venue"]),
    ],
)
async def test_bad_pair_is_named_without_its_secret(user, changes, fields):
    """Each bad field is named, `paper` where there is none too; the secret is not repeated."""
    answer = await user.client.post("/api-keys", json=new_key(**changes))
    assert bad_fields(answer) == fields
    assert SECRET not in answer.text


async def test_key_in_use_is_not_deleted(user, api_key, bot):
    """DELETE is 409 while a bot uses the key, and 204 afterwards."""
    problem(await user.client.delete(f"/api-keys/{api_key}"), 409)
    await user.client.delete(f"/bots/{bot['id']}")
    assert (await user.client.delete(f"/api-keys/{api_key}")).status_code == 204
    problem(await user.client.delete(f"/api-keys/{api_key}"), 404)


async def test_balances_of_a_venue_that_is_away_are_503(user, api_key):
    """A venue that does not answer is 503 with `Retry-After`."""
    answer = await user.client.get(f"/api-keys/{api_key}/balances")
    problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1


async def test_only_paper_accounts_start_again(user, api_key):
    """A paper-reset of another venue's key is 409, with a body or without."""
    problem(await user.client.post(f"/api-keys/{api_key}/paper-reset"), 409)
    problem(await user.client.post(f"/api-keys/{api_key}/paper-reset", json={"balances": {"USDT": "1"}}), 409)


@pytest.mark.parametrize(
    ("balances", "field"),
    [
        ({"USDT": -1}, "balances.USDT"),
        ({"USDT": "NaN"}, "balances.USDT"),
        ({"us dt": 1}, "balances.us dt"),
        ([], "balances"),
    ],
)
async def test_bad_balances_are_named(user, api_key, balances, field):
    """A balance has to be an amount of an asset."""
    answer = await user.client.post(f"/api-keys/{api_key}/paper-reset", json={"balances": balances})
    assert bad_fields(answer) == [field]


@pytest.mark.parametrize(
    "state",
    [
        {"is_active": True},
        {"orders_made": 1, "open_order_number": 1},
        {"orders_made": 1, "resting_list_number": 1},
        None,
    ],
)
async def test_account_at_work_does_not_start_again(user, state):
    """A paper-reset is 409 while a bot of the account runs, holds a position or may still trade."""
    key = await user.store_key("paper")
    other = await user.make_bot()
    bot = await user.copy_bot(other["id"], key, "paper")
    await (user.hold(bot) if state is None else user.set_state(bot, **state))
    answer = await user.client.post(f"/api-keys/{key}/paper-reset")
    assert "account" in problem(answer, 409)["detail"]
