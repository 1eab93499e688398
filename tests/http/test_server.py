"""The server around the application: starting, stopping, and what it writes down."""

import socket

import anyio
import httpx
import pytest
import structlog
from httpx_sse import aconnect_sse

from botwarden.http.app import create_app
from botwarden.http.server import ApiServer, NoAddress, take_address
from tests.http.api import BASE, open_deps

pytestmark = pytest.mark.anyio


async def test_open_stream_does_not_hold_the_server(own_api):
    """A stop ends open streams at once, with a goodbye."""
    member = await own_api.join()
    events = []
    async with aconnect_sse(member.client, "GET", f"{own_api.url}{BASE}/bots/status-stream") as source:
        received = source.aiter_sse()
        own_api.deps.stopping.set()
        with anyio.fail_after(5):
            events += [event.event async for event in received]
    assert events[-1] == "bye"


async def test_head_is_a_get_without_its_body(user, bot):
    """Status and headers are those of the GET; a body is never sent, and who may come in is the same."""
    for path in (f"/bot-states/{bot['id']}", "/bots", f"/bots/{bot['id'] + 1000}"):
        shown, head = await user.client.get(path), await user.client.head(path)
        assert (head.status_code, head.content) == (shown.status_code, b"")
        for name in ("etag", "content-type", "content-length", "cache-control"):
            assert head.headers.get(name) == shown.headers.get(name)
    assert (await user.api.client().head("/bots")).status_code == 401
    assert (await user.client.head("/bots/stop-all")).status_code == 405


@pytest.mark.parametrize("path", ["/bots/status-stream", "/bots/{}/status-stream", "/bots/{}/trades"])
async def test_head_of_a_stream_ends_with_its_headers(user, bot, path):
    """Nobody waits for the end of a stream that has none, and the connection serves the next request."""
    accept = {"accept": "text/csv"} if path.endswith("trades") else {}
    with anyio.fail_after(10):
        head = await user.client.head(path.format(bot["id"]), headers=accept)
        assert (head.status_code, head.content) == (200, b"")
        assert (await user.client.get("/bots")).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "203.0.113.1", "no such host", "::ffff"])
async def test_address_that_is_not_to_be_had_is_said_at_once(host):
    """An address that is taken, or nobody's, is an error of the one who starts, before anything runs."""
    with take_address("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NoAddress, match=f"Cannot listen on {host} port {port}: "):
            take_address(host, port)


async def test_application_that_does_not_start_is_said():
    """Whoever waits for the address of a server that fails is told."""

    async def broken(_scope, receive, send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    server = ApiServer(broken, take_address("127.0.0.1", 0))
    with pytest.raises(RuntimeError, match="did not start"):
        await server.serve()
    with pytest.raises(RuntimeError, match="did not start"):
        await server.address()


async def test_answers_wait_for_no_acknowledgement():
    """What is written leaves at once: a body does not wait until its client has acknowledged the headers."""
    options: list[int] = []

    async def app(scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            return
        line = receive.__self__.transport.get_extra_info("socket")
        options.append(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    server = ApiServer(app, take_address("127.0.0.1", 0))
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        async with httpx.AsyncClient() as client:
            await client.get(await server.address())
        await server.stop()
    assert options == [1]


async def test_server_ends_and_takes_nobody_in(database, redis_url):
    """After `stop` the port answers nobody, and `serve` has returned."""
    async with open_deps(database, redis_url) as deps:
        server = ApiServer(create_app(deps), take_address("127.0.0.1", 0))
        with anyio.fail_after(15):
            async with anyio.create_task_group() as group:
                group.start_soon(server.serve)
                url = await server.address()
                async with httpx.AsyncClient() as client:
                    assert (await client.get(url + "/health/live")).status_code == 200
                deps.stopping.set()
                await server.stop()
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(url + "/health/live")


async def test_log_holds_no_secret(own_api):
    """A line names method, path, status and time; nothing of headers, bodies or queries."""
    member = await own_api.join()
    with structlog.testing.capture_logs() as entries:
        body = {"label": "l", "venue": "live", "api_key": "the-api-key", "secret_key": "the-secret"}
        await member.client.post("/api-keys?query=secret-query", json=body)
        await member.client.get("/bots")
    lines = [it for it in entries if it["event"] == "request.answered"]
    assert [(it["method"], it["path"], it["status"], it["log_level"]) for it in lines] == [
        ("POST", "/api/v1/api-keys", 201, "info"),
        ("GET", "/api/v1/bots", 200, "debug"),
    ]
    for word in ("the-secret", "the-api-key", "secret-query", member.token):
        assert word not in str(entries)
