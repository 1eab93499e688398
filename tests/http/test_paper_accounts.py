"""Keys of the paper exchange, with a real paper exchange behind the API."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.options import PaperOptions
from botwarden.exchange.paper.server import opened
from tests.http.api import Api, bad_fields, bot_wish, exact, open_api, open_deps, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
async def paper_api(database, redis_url, tmp_path) -> AsyncIterator[Api]:
    """The API with a paper exchange."""
    options = PaperOptions(store=tmp_path / "paper.db", seed=7, admin_token="admin of the tests")
    async with (
        opened(options) as (_, address),
        PaperAdmin(address, options.admin_token) as admin,
        open_deps(database, redis_url, paper=address.removeprefix("http://"), paper_admin=admin) as deps,
        open_api(deps) as api,
    ):
        yield api


def pair(secret: str = "secret-one", key: str = "paper-key-of-the-tests") -> dict[str, str]:
    return {"label": "paper", "venue": "paper", "api_key": key, "secret_key": secret}


async def balances(member, key) -> dict[str, Decimal]:
    answer = await member.client.get(f"/api-keys/{key}/balances")
    assert answer.status_code == 200, answer.text
    assert {"asset", "free", "locked"} == set(answer.json()["items"][0])
    return {it["asset"]: it["free"] for it in exact(answer)["items"]}


async def test_paper_key_opens_an_account_that_can_start_again(paper_api):
    """A stored paper key holds money at once; a reset gives the balances asked for, or the usual ones."""
    member = await paper_api.join()
    answer = await member.client.post("/api-keys", json=pair())
    assert answer.status_code == 201, answer.text
    key = answer.json()["id"]
    assert (await balances(member, key))["USDT"] == 100_000
    wish = {"balances": {"USDT": "1234.5", "BTC": 0.25}}
    assert (await member.client.post(f"/api-keys/{key}/paper-reset", json=wish)).status_code == 204
    assert await balances(member, key) == {"USDT": Decimal("1234.5"), "BTC": Decimal("0.25")}
    assert (await member.client.post(f"/api-keys/{key}/paper-reset")).status_code == 204
    assert (await balances(member, key))["USDT"] == 100_000


async def test_key_with_another_secret_is_409(paper_api):
    """Nobody takes over another's paper account by its key; the same pair is taken again."""
    ann, bob = await paper_api.join(), await paper_api.join()
    assert (await ann.client.post("/api-keys", json=pair())).status_code == 201
    problem(await bob.client.post("/api-keys", json=pair("another-secret")), 409)
    assert (await bob.client.get("/api-keys")).json() == {"items": []}
    assert (await ann.client.post("/api-keys", json=pair())).status_code == 201


async def test_bots_of_the_paper_venue(paper_api):
    """What the paper exchange lists can be traded by a bot, and nothing else; running it ties the account."""
    member = await paper_api.join()
    key = (await member.client.post("/api-keys", json=pair())).json()["id"]
    wish = bot_wish(key) | {"venue": "paper"}
    bot = await member.client.post("/bots", json=wish)
    assert bot.status_code == 201, bot.text
    problem(await member.client.post("/bots", json=wish | {"symbol": "NOSUCHUSDT"}), 422)
    await member.client.post(f"/bots/{bot.json()['id']}/start")
    problem(await member.client.post(f"/api-keys/{key}/paper-reset"), 409)
    await member.client.post(f"/bots/{bot.json()['id']}/stop")
    assert (await member.client.post(f"/api-keys/{key}/paper-reset")).status_code == 204


@pytest.mark.parametrize("key", ["with.dots.in.it", "one@example.org", "a+b"])
async def test_key_that_could_not_be_used_is_not_stored(paper_api, key):
    """A key that the paper exchange would refuse with every request is refused when it is stored."""
    member = await paper_api.join()
    assert bad_fields(await member.client.post("/api-keys", json=pair(key=key))) == ["api_key"]
    stored = await member.client.post("/api-keys", json=pair(key="All-of_it-0"))
    assert (await member.client.get(f"/api-keys/{stored.json()['id']}/balances")).status_code == 200


async def test_account_that_works_for_another_key_does_not_start_again(paper_api):
    """A pair that was stored twice, by one or by two people, opens one account: no reset below its bots."""
    ann, bob = await paper_api.join(), await paper_api.join()
    keys = [(await it.client.post("/api-keys", json=pair())).json()["id"] for it in (ann, ann, bob)]
    stranger = (await bob.client.post("/api-keys", json=pair(key="paper-key-of-tests"))).json()["id"]
    bot = await ann.client.post("/bots", json=bot_wish(keys[0]) | {"venue": "paper"})
    await ann.client.post(f"/bots/{bot.json()['id']}/start")
    problem(await ann.client.post(f"/api-keys/{keys[1]}/paper-reset"), 409)
    problem(await bob.client.post(f"/api-keys/{keys[2]}/paper-reset"), 409)
    # The same hint is not the same key.
    assert (await bob.client.post(f"/api-keys/{stranger}/paper-reset")).status_code == 204
    await ann.client.post(f"/bots/{bot.json()['id']}/stop")
    assert (await bob.client.post(f"/api-keys/{keys[2]}/paper-reset")).status_code == 204


async def test_position_is_worth_what_the_market_says(paper_api):
    """PnL of a position goes by the venue's present price."""
    member = await paper_api.join()
    key = (await member.client.post("/api-keys", json=pair())).json()["id"]
    bot = (await member.client.post("/bots", json=bot_wish(key) | {"venue": "paper"})).json()
    await member.hold(bot["id"], size="2", entry="100")
    shown = exact(await member.client.get(f"/bots/{bot['id']}/pnl"))
    assert shown["unrealised"] == 2 * shown["price"] - 200


async def test_exchange_that_is_away_is_503(database, redis_url):
    """Without an answer of the paper exchange no key is stored."""
    async with (
        PaperAdmin("http://127.0.0.1:9", "token") as admin,
        open_deps(database, redis_url, paper_admin=admin) as deps,
        open_api(deps) as api,
    ):
        member = await api.join()
        problem(await member.client.post("/api-keys", json=pair()), 503)
        assert (await member.client.get("/api-keys")).json() == {"items": []}
