"""Errors: RFC 9457 everywhere, and never a word too much."""

import anyio
import anyio.lowlevel
import pytest
import structlog
from msgspec.structs import replace

from tests.http.api import SETTINGS, bad_fields, bot_wish, open_api, open_deps, problem

pytestmark = pytest.mark.anyio

END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/bots/x", 404),
        ("GET", "/bots/1.5", 404),
        ("GET", "/bots/-1", 404),
        ("GET", "/bots/" + "9" * 5000, 404),
        ("GET", "/bots/1/nothing", 404),
        ("PATCH", "/bots", 405),
        ("DELETE", "/bot-states/1", 405),
        ("POST", "/auth/me", 405),
    ],
)
async def test_wrong_address_or_method_is_a_problem(user, method, path, status):
    """Unknown addresses are 404, known ones with another method 405 with `Allow`."""
    answer = await user.client.request(method, path)
    problem(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


async def test_everything_outside_is_a_problem_too(api):
    """Addresses outside of the API are answered alike, and without credentials 401 comes first."""
    client = api.client()
    problem(await client.get(api.url + "/nothing"), 404)
    for path in (
        "/bots",
        "/bots/1",
        "/bot-states/1",
        "/api-keys",
        "/halt",
        "/runtime",
        "/bots/status-stream",
    ):
        problem(await client.get(path), 401)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b'{"name": "\xff"}',
        b'{"a":' * 5000,
        b'{"name": ' + b"1" * 5000 + b"}",
        b"{'name': 1}",
        b"\xef\xbb\xbf{}",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/bots"), ("PATCH", "/bots/{}"), ("PUT", "/bot-states/{}")]
)
async def test_malformed_json_is_400(user, bot, body, method, path):
    """What is no JSON object is 400, whatever it is instead."""
    problem(await user.client.request(method, path.format(bot["id"]), content=body), 400)


async def test_large_body_is_refused(user, api_key):
    """A body that no request needs is 413."""
    problem(await user.client.post("/bots", json=bot_wish(api_key) | {"name": "x" * 300_000}), 413)


async def test_missing_and_wrong_query_parameters_are_named(user):
    """A query parameter that is missing or of another type is 422 by its name."""
    assert bad_fields(await user.client.get("/symbols")) == ["venue"]
    assert bad_fields(await user.client.get("/symbols", params={"venue": "moon"})) == ["venue"]
    assert bad_fields(await user.client.post("/bots/stop-all", params={"close_positions": "perhaps"})) == [
        "close_positions"
    ]


async def test_bug_says_nothing_of_itself(own_api):
    """What nobody expected is a bare 500: no stack trace, no SQL."""
    member = await own_api.join()
    async with own_api.database.begin() as tx:
        await tx.exec_driver_sql("ALTER TABLE bot_configs RENAME COLUMN symbol TO renamed")
    with structlog.testing.capture_logs() as entries:
        answer = await member.client.get("/bots")
    body = problem(answer, 500)
    [failed] = [it for it in entries if it["event"] == "request.failed"]
    assert failed["path"] == "/api/v1/bots"
    assert body["detail"] == "Something went wrong here. It has been logged."
    for word in ("renamed", "SELECT", "Traceback", "sqlalchemy", "asyncpg", "bot_configs"):
        assert word not in answer.text


async def test_unreachable_database_is_503(own_api, clerk, database_url):
    """While the database is away everything that needs it is 503 with `Retry-After`; later all is well."""
    member = await own_api.join()
    name = database_url.rpartition("/")[2].partition("?")[0]
    await clerk.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await clerk.execute(END_SESSIONS.format(name))
    for method, path in (("GET", "/bots"), ("POST", "/bots/1/start"), ("POST", "/bots/stop-all")):
        answer = await member.client.request(method, path)
        problem(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
    await clerk.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert (await member.client.get("/bots")).status_code == 200


async def test_server_that_goes_away_says_so(own_api):
    """While the server shuts down, requests are 503; whether it is alive can still be asked."""
    member = await own_api.join()
    own_api.deps.stopping.set()
    answer = await member.client.get("/bots")
    problem(answer, 503)
    assert answer.headers["retry-after"]
    assert (await member.client.get(own_api.url + "/health/live")).status_code == 200


async def test_crowd_of_one_user_is_429_and_nobody_elses_matter(database, redis_url):
    """More requests at a time than allowed are 429 for that user, and not for others."""
    settings = replace(SETTINGS, requests_at_once=1, stop_wait_s=20)
    async with open_deps(database, redis_url, settings) as deps, open_api(deps) as api:
        ann, bob = await api.join(), await api.join()
        bot = await ann.make_bot()
        running = {"is_active": True, "halted_by": None, "status": "running"}
        await ann.set_state(bot["id"], orders_made=1, open_order_number=1, **running)
        async with anyio.create_task_group() as group:
            group.start_soon(ann.client.post, f"/bots/{bot['id']}/stop")
            while (await ann.row(bot["id"])).is_active:
                await anyio.lowlevel.checkpoint()
            answer = await ann.client.get("/bots")
            problem(answer, 429)
            assert int(answer.headers["retry-after"]) >= 1
            assert (await bob.client.get("/bots")).status_code == 200
            await ann.set_state(bot["id"], open_order_number=None)
        assert (await ann.client.get("/bots")).status_code == 200


@pytest.mark.parametrize("path", ["/bots", "/nothing", "/auth/me"])
async def test_every_answer_is_hardened(user, path):
    """Answers and errors alike say what browsers must not do with them."""
    headers = (await user.client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "server" not in headers


async def test_document_describes_what_is_answered(api):
    """The OpenAPI document knows every endpoint, amounts as numbers, and errors as problems."""
    document = (await api.client().get(api.url + "/schema/openapi.json")).json()
    assert len(document["paths"]) >= 28
    shapes = document["components"]["schemas"]
    assert shapes["BotView"]["properties"]["initial_capital"]["type"] == "number"
    assert "Problem" in shapes
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"], path
            assert "application/problem+json" in operation["responses"]["default"]["content"]
