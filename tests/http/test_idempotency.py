"""Idempotency-Key by the contract: one effect, one answer."""

import anyio
import pytest

from botwarden.persistence import bots
from tests.http.api import bad_fields, bot_wish, open_api, open_deps, problem

pytestmark = pytest.mark.anyio

KEY = {"idempotency-key": "a-key-of-the-client"}


async def test_same_request_makes_one_bot(user, api_key):
    """The same key and body give the same answer, and one bot."""
    answers = [await user.client.post("/bots", json=bot_wish(api_key), headers=KEY) for _ in range(3)]
    assert [it.status_code for it in answers] == [201] * 3
    assert answers[0].content == answers[1].content == answers[2].content
    assert len((await user.client.get("/bots")).json()["items"]) == 1


async def test_another_body_is_422(user, api_key):
    """The key cannot be used for another body, nor for another address."""
    await user.client.post("/bots", json=bot_wish(api_key), headers=KEY)
    changed = bot_wish(api_key) | {"name": "another"}
    assert bad_fields(await user.client.post("/bots", json=changed, headers=KEY)) == ["Idempotency-Key"]
    assert bad_fields(await user.client.post("/bots/stop-all", headers=KEY)) == ["Idempotency-Key"]


async def test_key_belongs_to_its_user(user, other_user):
    """Two users' keys have nothing to do with each other."""
    for member in (user, other_user):
        bot = await member.make_bot()
        assert (await member.client.post(f"/bots/{bot['id']}/start", headers=KEY)).status_code == 200


async def test_requests_at_the_same_time_have_one_effect(user, api_key):
    """Of twenty at once one has an effect; the others get its answer, or 409 with `Retry-After`."""
    answers = []

    async def ask() -> None:
        answers.append(await user.client.post("/bots", json=bot_wish(api_key), headers=KEY))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    done = [it for it in answers if it.status_code == 201]
    early = [it for it in answers if it.status_code == 409]
    assert len(done) + len(early) == 20
    assert len({it.content for it in done}) == 1
    assert all(it.headers["retry-after"] for it in early)
    assert len((await user.client.get("/bots")).json()["items"]) == 1


async def test_first_attempt_that_runs_is_409(api, user, bot):
    """While the first attempt runs the second is told to come back; a 423 is not kept as an answer."""
    path, answers = f"/bots/{bot['id']}/start", []

    async def ask() -> None:
        answers.append(await user.client.post(path, headers=KEY))

    async with api.database.begin() as tx:
        await bots.lock_bot(tx, user.id, bot["id"])
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(ask)
    early, late = sorted(answers, key=lambda it: it.status_code)
    problem(late, 423)
    problem(early, 409)
    assert int(early.headers["retry-after"]) >= 1
    assert (await user.client.post(path, headers=KEY)).status_code == 200


async def test_answer_outlives_what_it_was_about(user, bot):
    """A repeated request gets its first answer also when the bot is gone since, and its name's rule too."""
    path = f"/bots/{bot['id']}"
    first = await user.client.patch(path, json={"name": "another"}, headers=KEY)
    assert first.status_code == 200
    assert (await user.client.delete(path)).status_code == 204
    again = await user.client.patch(path, json={"name": "another"}, headers=KEY)
    assert (again.status_code, again.content) == (200, first.content)
    assert bad_fields(await user.client.patch(path, json={"name": ""}, headers=KEY)) == ["Idempotency-Key"]


async def test_bot_that_was_made_is_answered_also_when_its_symbol_is_gone(own_api, database, redis_url):
    """Whether a bot was made can be asked again when its venue no longer lists the symbol."""
    member = await own_api.join()
    wish = bot_wish(await member.store_key())
    first = await member.client.post("/bots", json=wish, headers=KEY)
    assert first.status_code == 201
    async with open_deps(database, redis_url, lists=["ETHUSDT"]) as deps, open_api(deps) as api:
        client = api.client(member.token)
        assert bad_fields(await client.post("/bots", json=wish)) == ["symbol"]
        again = await client.post("/bots", json=wish, headers=KEY)
        assert (again.status_code, again.content) == (201, first.content)


async def test_refusal_is_an_answer_too(user, bot):
    """A refusal that the state caused is answered again, although the state would allow it now."""
    path = f"/bots/{bot['id']}/close-position"
    first = problem(await user.client.post(path, headers=KEY), 409)
    await user.hold(bot["id"])
    assert problem(await user.client.post(path, headers=KEY), 409) == first
    assert (await user.client.post(path)).status_code == 202


async def test_deletion_is_answered_again(user, bot, api_key):
    """The second DELETE with the same key is 204, without it 404; a refused one leaves the key intact."""
    problem(await user.client.delete(f"/api-keys/{api_key}", headers={"idempotency-key": "early"}), 409)
    path = f"/bots/{bot['id']}"
    assert [(await user.client.delete(path, headers=KEY)).status_code for _ in range(2)] == [204, 204]
    problem(await user.client.delete(path), 404)
    problem(await user.client.delete(f"/api-keys/{api_key}", headers={"idempotency-key": "early"}), 409)
    assert (await user.client.delete(f"/api-keys/{api_key}")).status_code == 204


async def test_repeated_put_keeps_its_etag_and_undoes_nothing(user, bot):
    """A PUT that is sent again answers as before, ETag included, and does not write over what came after."""
    path = f"/bot-states/{bot['id']}"
    first = await user.client.put(path, json={"daily_pnl": 1}, headers=KEY)
    await user.client.put(path, json={"daily_pnl": 2})
    again = await user.client.put(path, json={"daily_pnl": 1}, headers=KEY)
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    assert (await user.state(bot["id"]))["daily_pnl"] == 2


async def test_stop_all_is_answered_again(user, bot):
    """Stopping everything twice with one key counts once."""
    await user.client.post(f"/bots/{bot['id']}/start")
    answers = [(await user.client.post("/bots/stop-all", headers=KEY)).json() for _ in range(2)]
    assert answers == [{"stopped": 1, "closing": 0}] * 2


async def test_stop_all_that_runs_is_409_for_others(api, user, bot):
    """While the first stop-all runs the second is told to come back; one that failed may be tried again."""
    await user.client.post(f"/bots/{bot['id']}/start")
    answers = []

    async def ask() -> None:
        answers.append(await user.client.post("/bots/stop-all", headers=KEY))

    with anyio.fail_after(30):
        async with api.database.begin() as tx, anyio.create_task_group() as group:
            await bots.lock_bot(tx, user.id, bot["id"])
            group.start_soon(ask)
            group.start_soon(ask)
            while len(answers) < 2:
                # The transaction must not fall asleep.
                await bots.read_states(tx, [])
    early, late = answers
    assert int(problem_with_pause(early, 409)) >= 1
    problem(late, 423)
    assert (await user.client.post("/bots/stop-all", headers=KEY)).json() == {"stopped": 1, "closing": 0}


@pytest.mark.parametrize("by", ["POST", "PUT"])
async def test_stop_that_waits_is_409_for_others(user, bot, by):
    """While a stop waits for an order in flight nobody gets a worse answer than it will have."""
    running = {"is_active": True, "halted_by": None, "status": "running"}
    await user.set_state(bot["id"], **running, orders_made=1, open_order_number=1)
    answers = []

    async def stop() -> None:
        path = f"/bots/{bot['id']}/stop" if by == "POST" else f"/bot-states/{bot['id']}"
        body = {} if by == "POST" else {"json": {"status": "stopped"}}
        answers.append(await user.client.request(by, path, headers=KEY, **body))

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        while (await user.state(bot["id"]))["status"] != "stopped":
            await anyio.lowlevel.checkpoint()
        await stop()
        await stop()
        await user.set_state(bot["id"], open_order_number=None)
    *early, first = answers
    assert [int(problem_with_pause(it, 409)) for it in early] == [1, 1]
    await stop()
    assert (first.status_code, first.content) == (200, answers[-1].content)
    assert b"order_in_flight" not in first.content


def problem_with_pause(answer, status: int) -> str:
    """Return when to come back, of an answer that says so."""
    problem(answer, status)
    return answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/halt", None),
        ("DELETE", "/halt", None),
        ("PATCH", "/bots/{bot}", {"name": "renamed"}),
        ("POST", "/bots/{bot}/stop", None),
        ("POST", "/api-keys", {"label": "l", "venue": "live", "api_key": "k", "secret_key": "s"}),
    ],
)
async def test_every_unsafe_endpoint_honours_the_key(user, bot, method, path, body):
    """The second request gets the first one's answer, byte by byte."""
    options = {} if body is None else {"json": body}
    path = path.format(bot=bot["id"])
    first, second = [await user.client.request(method, path, headers=KEY, **options) for _ in range(2)]
    assert first.is_success, first.text
    assert (first.status_code, first.content) == (second.status_code, second.content)


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "tab\there"])
async def test_bad_key_is_named(user, key):
    """A key is 1 to 255 printable characters."""
    answer = await user.client.put("/halt", headers={"idempotency-key": key.encode()})
    assert bad_fields(answer) == ["Idempotency-Key"]
