"""Two tenants on one server: to each other they do not exist."""

import pytest

from tests.http.api import bad_fields, bot_wish, problem

pytestmark = pytest.mark.anyio

ON_BOTS = [
    ("GET", "/bots/{}", None),
    ("PATCH", "/bots/{}", {"name": "mine now"}),
    ("DELETE", "/bots/{}", None),
    ("POST", "/bots/{}/start", None),
    ("POST", "/bots/{}/stop", None),
    ("POST", "/bots/{}/close-position", None),
    ("GET", "/bots/{}/trades", None),
    ("GET", "/bots/{}/orders", None),
    ("GET", "/bots/{}/events", None),
    ("GET", "/bots/{}/pnl", None),
    ("GET", "/bots/{}/status-stream", None),
    ("GET", "/bot-states/{}", None),
    ("PUT", "/bot-states/{}", {"daily_pnl": -1_000_000}),
]
ON_KEYS = [
    ("DELETE", "/api-keys/{}", None),
    ("GET", "/api-keys/{}/balances", None),
    ("POST", "/api-keys/{}/paper-reset", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), ON_BOTS)
async def test_bot_of_another_is_not_there(user, other_user, bot, *, method, path, body):
    """Every endpoint answers the same 404 for another's bot and for none, and changes nothing."""
    before = (await user.client.get(f"/bots/{bot['id']}")).json()
    options = {} if body is None else {"json": body}
    answers = [
        await other_user.client.request(method, path.format(bot_id), **options)
        for bot_id in (bot["id"], 2**62, 2**63, 10**40, 0)
    ]
    bodies = [problem(answer, 404) for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2] == bodies[3] == bodies[4]
    assert (await user.client.get(f"/bots/{bot['id']}")).json() == before


@pytest.mark.parametrize(("method", "path", "body"), ON_KEYS)
async def test_key_of_another_is_not_there(user, other_user, api_key, *, method, path, body):
    """Another's API key is answered like none."""
    options = {} if body is None else {"json": body}
    answers = [
        await other_user.client.request(method, path.format(key), **options) for key in (api_key, 2**62)
    ]
    assert problem(answers[0], 404) == problem(answers[1], 404)
    assert [it["id"] for it in (await user.client.get("/api-keys")).json()["items"]] == [api_key]


async def test_nobody_trades_with_anothers_key(user, other_user):
    """A bot can neither be made with another's key nor be given one (peer 1 ordered with A's key for B)."""
    theirs = await user.store_key()
    own = await other_user.make_bot(await other_user.store_key())
    made = await other_user.client.post("/bots", json=bot_wish(theirs))
    given = await other_user.client.patch(f"/bots/{own['id']}", json={"api_key_id": theirs})
    assert [bad_fields(answer) for answer in (made, given)] == [["api_key_id"]] * 2
    assert (await other_user.client.get(f"/bots/{own['id']}")).json() == own


async def test_lists_hold_only_ones_own(user, other_user, bot):
    """Lists of bots and keys, and stop-all, end at the account."""
    assert (await other_user.client.get("/bots")).json()["items"] == []
    assert (await other_user.client.get("/api-keys")).json()["items"] == []
    await user.client.post(f"/bots/{bot['id']}/start")
    assert (await other_user.client.post("/bots/stop-all")).json() == {"stopped": 0, "closing": 0}
    assert (await user.state(bot["id"]))["status"] == "pending"


async def test_nobody_can_write_anothers_trades(user, other_user, bot):
    """There is no way to post a trade (peer 1 let B book a loss onto A's bot, and A's order id)."""
    for member in (user, other_user):
        for path in ("/trades", f"/bots/{bot['id']}/trades"):
            answer = await member.client.post(path, json={"bot_id": bot["id"], "profit_loss": -1_000_000})
            assert answer.status_code in (404, 405)
    assert (await user.state(bot["id"]))["daily_pnl"] == 0


@pytest.mark.parametrize("bot_id", ["1", "0", "-1", str(2**70)])
async def test_nobody_learns_which_ids_there_can_be(api, bot_id):
    """Who is not logged in is told the same of every id."""
    answer = await api.client().get(f"/bots/{bot_id}")
    assert problem(answer, 401) == problem(await api.client().get("/bots"), 401)
