"""Servers live exactly as long as their app, however it or they die."""

import signal

import anyio
import asyncpg
import pytest
from anyio import to_thread
from redis.exceptions import RedisError

from tests.persistence.embedded.stage import gone, kill, ping, query

pytestmark = pytest.mark.anyio


async def answers(ask, *words):
    """Ask until there is an answer."""
    with anyio.fail_after(20):
        while True:
            try:
                return await ask(*words)
            except (OSError, RedisError, asyncpg.PostgresError):
                await to_thread.run_sync(lambda: None)


async def test_an_orderly_end_stops_everything_and_keeps_the_data(fresh_folder, run):
    """Whoever starts again finds what was written; only the first start makes the database."""
    app = await run(fresh_folder).started()
    await query(app.up, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert await ping(app.up)
    assert app.up["first"] is True

    assert await app.stop() == 0
    await app.all_gone()
    assert "shut down" in (fresh_folder / "log/postgresql.log").read_text().splitlines()[-1]
    assert not list(fresh_folder.glob("sockets-*"))

    again = await run(fresh_folder).started()
    assert again.up["first"] is False
    assert await query(again.up, "SELECT answer FROM kept") == 42


async def test_servers_go_with_a_killed_app(folder, run):
    """After kill -9 of the app its servers end in order, and a start right away finds all the data."""
    app = await run(folder).started()
    await query(app.up, "CREATE TABLE kept AS SELECT 42 AS answer")
    app.kill()

    again = await run(folder).started()
    await app.all_gone()
    assert await query(again.up, "SELECT answer FROM kept") == 42
    assert "crash" not in (folder / "log/postgresql.log").read_text()


async def test_an_app_that_loses_its_keeper_hears_of_it(folder, run):
    """After kill -9 of the keeper the kernel ends the servers, the app says so and fails."""
    app = await run(folder).started()
    kill(app.up["keeper"])

    assert "keeper" in (await app.said("lost"))["lost"]
    assert await app.ended() == 3
    await app.all_gone()

    again = await run(folder).started()
    assert await query(again.up, "SELECT 1") == 1
    assert "was not properly shut down" not in (folder / "log/postgresql.log").read_text()


async def test_app_and_keeper_killed_together_leave_nothing(folder, run):
    """When both die at once, servers still end, and the next start waits for them."""
    app = await run(
        folder, "trap 'read ignored </dev/null; exit' TERM; while :; do wait & wait; done"
    ).started()
    kill(app.up["keeper"])
    app.kill()

    again = await run(folder).started()
    await app.all_gone()
    assert await query(again.up, "SELECT 1") == 1
    assert await ping(again.up)


async def test_a_killed_postgres_comes_back(folder, run):
    """After kill -9 of PostgreSQL the keeper starts it again, at the same URL and with all the data."""
    app = await run(folder).started()
    await query(app.up, "CREATE TABLE kept AS SELECT 42 AS answer")
    old = app.up["pids"]["postgresql"]
    kill(old)
    await gone(old)

    assert await answers(query, app.up, "SELECT answer FROM kept") == 42
    assert await ping(app.up)
    assert await app.stop() == 0


async def test_a_killed_backend_does_not_stop_the_server(folder, run):
    """PostgreSQL recovers by itself from a killed session, and the keeper keeps out of it."""
    app = await run(folder).started()
    connection = await asyncpg.connect(app.up["database_url"].replace("+asyncpg", ""))
    kill(connection.get_server_pid())
    assert await answers(query, app.up, "SELECT 1") == 1
    assert (
        (folder / "postgresql/data/postmaster.pid")
        .read_text()
        .startswith(f"{app.up['pids']['postgresql']}\n")
    )
    connection.terminate()


async def test_a_killed_valkey_comes_back(folder, run):
    """After kill -9 of Valkey, several times in a row, the keeper starts it again."""
    app = await run(folder).started()
    old = app.up["pids"]["valkey"]
    for _ in range(3):
        kill(old)
        await gone(old)
        assert await answers(ping, app.up)
        old = await valkey_pid(app.up)
    await app.stop()


async def valkey_pid(up):
    from redis.asyncio import Redis

    async with Redis.from_url(up["redis_url"]) as client:
        return (await client.info("server"))["process_id"]


async def test_the_terminal_and_whoever_asks_the_keeper_to_end_are_not_heard(folder, run):
    """Ctrl-C and SIGTERM are the app's business: the keeper stays for as long as the app does."""
    app = await run(folder).started()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        kill(app.up["keeper"], number)
    assert await query(app.up, "SELECT 1") == 1
    assert await app.stop() == 0
    await app.all_gone()


async def test_other_services_are_kept_as_well(folder, run):
    """What is put beside the servers is started, started again when it ends, and ended with the app."""
    app = await run(folder, "echo started; exec sleep 1000").started()
    old = app.up["pids"]["extra0"]
    kill(old)
    log = folder / "log/extra0.log"
    with anyio.fail_after(20):
        while log.read_text() != "started\nstarted\n":
            await to_thread.run_sync(lambda: None)
    assert await app.stop() == 0
    await app.all_said()
    assert any("extra0" in line and "signal 9" in line for line in app.reports)


async def test_a_service_that_cannot_run_does_not_stop_the_others(folder, run):
    """A missing program is reported with its pause; the servers are up all the same."""
    app = await run(folder, "exit 7").started()
    assert await query(app.up, "SELECT 1") == 1
    assert await app.stop() == 0
    await app.all_said()
    assert any("extra0 ended (exit code 7); starting it again in 0.2 s" in line for line in app.reports)
