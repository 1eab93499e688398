"""Accounts, tokens and passwords by the contract."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace

from botwarden.http.tokens import Sessions, hash_token
from botwarden.persistence import users
from botwarden.persistence.database import Database, Transaction
from tests.http.api import SETTINGS, bad_fields, open_api, open_deps, problem

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"


@pytest.fixture
def client(api):
    """A client that nobody is logged in with."""
    return api.client()


@pytest.fixture
def email(request) -> str:
    return f"{abs(hash(request.node.nodeid))}@example.org"


@pytest.fixture
async def token(client, email) -> str:
    """The token of a new account."""
    await client.post("/auth/register", json={"email": email, "password": PASSWORD})
    return (await log_in(client, email)).json()["access_token"]


async def log_in(client, email, password=PASSWORD, **headers):
    client.cookies.clear()
    return await client.post("/auth/login", json={"email": email, "password": password}, headers=headers)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def test_from_registration_to_logout(client, email):
    """Register, log in, ask who one is, log out; then the token is dead."""
    answer = await client.post("/auth/register", json={"email": email.upper(), "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    account = answer.json()
    assert set(account) == {"id", "email", "created_at"}
    assert account["email"] == email
    answer = await log_in(client, email.title())
    assert answer.status_code == 200, answer.text
    granted = answer.json()
    assert set(granted) == {"access_token", "token_type", "expires_in"}
    assert (granted["token_type"], granted["expires_in"]) == ("bearer", 7 * 24 * 3600)
    client.cookies.clear()
    headers = bearer(granted["access_token"])
    who = await client.get("/auth/me", headers=headers)
    assert who.json() == account | {"role": "user"}
    assert (await client.post("/auth/logout", headers=headers)).status_code == 204
    answer = await client.get("/auth/me", headers=headers)
    problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_token_is_stored_only_as_its_hash(api, token):
    """The database knows a token by its hash."""
    async with api.database.read() as tx:
        assert await users.find_session(tx, hash_token(token)) is not None
        assert await users.find_session(tx, token.encode()) is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"email": "nobody", "password": PASSWORD}, ["email"]),
        ({"email": "a b@example.org", "password": PASSWORD}, ["email"]),
        ({"email": "ä@example.org", "password": PASSWORD}, ["email"]),
        ({"email": "x" * 300 + "@example.org", "password": PASSWORD}, ["email"]),
        ({"email": "a@example.org", "password": "short"}, ["password"]),
        ({"email": "a@example.org", "password": "x" * 257}, ["password"]),
        ({"email": 1, "password": None}, ["email", "password"]),
        ({"email": "a@example.org", "password": PASSWORD, "role": "admin"}, ["role"]),
        ({}, ["email", "password"]),
    ],
)
async def test_bad_registration_is_named(client, body, fields):
    """Each bad field is named, a forged role too."""
    assert bad_fields(await client.post("/auth/register", json=body)) == fields


@pytest.mark.usefixtures("token")
async def test_address_is_taken_once(client, email):
    """Registering an address again, in any case, is 409."""
    problem(await client.post("/auth/register", json={"email": email.upper(), "password": PASSWORD}), 409)


@pytest.mark.usefixtures("token")
async def test_wrong_password_and_unknown_address_are_the_same(client, email):
    """Whether there is an account is not to be learned from logging in."""
    wrong = await log_in(client, email, "not the password")
    unknown = await log_in(client, "x" + email, "not the password")
    assert problem(wrong, 401) == problem(unknown, 401)


async def test_disabled_account_is_like_a_wrong_password(api, client, token, email):
    """A disabled account's tokens are dead, and its password is as good as wrong."""
    async with api.database.begin() as tx:
        user = await users.find_user_by_email(tx, email)
        ended = await users.set_disabled(tx, user.id, is_disabled=True)
    await api.deps.broadcast.publish_revoked(ended)
    problem(await log_in(client, email), 401)
    while (await client.get("/auth/me", headers=bearer(token))).status_code != 401:
        pass


async def test_password_change_ends_every_other_token(client, token, email):
    """A new password kills all other tokens; the one that changed it lives on."""
    others = [(await log_in(client, email)).json()["access_token"] for _ in range(2)]
    client.cookies.clear()
    for other in others:
        assert (await client.get("/auth/me", headers=bearer(other))).status_code == 200
    change = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    answer = await client.post("/auth/password", json=change, headers=bearer(token))
    assert answer.status_code == 204, answer.text
    for other in others:
        problem(await client.get("/auth/me", headers=bearer(other)), 401)
    assert (await client.get("/auth/me", headers=bearer(token))).status_code == 200
    problem(await log_in(client, email), 401)
    assert (await log_in(client, email, PASSWORD + "!")).status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"current_password": "wrong", "new_password": "long enough"}, ["current_password"]),
        ({"current_password": PASSWORD, "new_password": "short"}, ["new_password"]),
        ({"current_password": PASSWORD}, ["new_password"]),
    ],
)
async def test_password_is_changed_only_by_who_knows_it(client, token, body, fields):
    """A wrong current password and a bad new one are named."""
    client.cookies.clear()
    assert bad_fields(await client.post("/auth/password", json=body, headers=bearer(token))) == fields


@pytest.mark.usefixtures("token")
async def test_guessing_is_slowed_down_whatever_headers_claim(client, email):
    """After five wrong passwords in a minute even the right one is 429 (peer 1 believed X-Forwarded-For)."""
    statuses = []
    for number in range(9):
        answer = await log_in(client, email, "wrong", **{"x-forwarded-for": f"10.0.0.{number}"})
        statuses.append(answer.status_code)
    assert statuses == [401] * 5 + [429] * 4
    answer = await log_in(client, email)
    problem(answer, 429)
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.usefixtures("token")
async def test_success_forgets_failures(client, email):
    """Some failures, then the right password: the count begins anew."""
    for _ in range(3):
        for _ in range(4):
            assert (await log_in(client, email, "wrong")).status_code == 401
        assert (await log_in(client, email)).status_code == 200


async def test_closed_registration_is_403(database, redis_url):
    """Registration can be switched off."""
    settings = replace(SETTINGS, registration_open=False)
    async with open_deps(database, redis_url, settings) as deps, open_api(deps) as api:
        body = {"email": "late@example.org", "password": PASSWORD}
        problem(await api.client().post("/auth/register", json=body), 403)


async def test_token_expires(api, client, token):
    """A token is good until its time, and no longer."""
    async with api.database.begin() as tx:
        session = await users.find_session(tx, hash_token(token))
        await users.delete_session(tx, hash_token(token))
        await users.create_session(
            tx, session.user_id, hash_token(token), session.expires_at - timedelta(days=8)
        )
    problem(await client.get("/auth/me", headers=bearer(token)), 401)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer nonsense", "Basic abc", "bearer\tx", "Bearer " + "x" * 5000]
)
async def test_bad_credentials_are_401(client, header):
    """Credentials of any other form are 401, never an error of ours."""
    problem(await client.get("/auth/me", headers={"authorization": header}), 401)


async def test_token_is_dead_everywhere(api, token):
    """A token that is revoked on one replica is dead on another one that has just verified it."""
    async with open_deps(api.database, api.redis_url) as deps, open_api(deps) as replica:
        there = replica.client(token)
        while not deps.broadcast.connected:
            await api.deps.clock.sleep(0)
        for _ in range(3):
            assert (await there.get("/auth/me")).status_code == 200
        assert (await api.client(token).post("/auth/logout")).status_code == 204
        while (await there.get("/auth/me")).status_code != 401:
            pass
        problem(await there.get("/bots"), 401)


class Overtaken(Database):
    """A database whose next answer is overtaken by what happens meanwhile."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        async with super().read() as tx:
            yield tx
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()


async def test_token_revoked_while_it_is_looked_up_is_dead(database, redis_url):
    """A session that was read just before it was ended opens nothing: no stream would hear of it later."""
    overtaken = Overtaken(database.engine)
    async with open_deps(overtaken, redis_url) as deps:
        sessions = Sessions(overtaken, deps.broadcast, deps.clock)
        async with database.begin() as tx:
            ann = await users.create_user(tx, "ann@example.org", "no hash")
            until = deps.clock.now() + timedelta(hours=1)
            await users.create_session(tx, ann.id, hash_token("ann's"), until)

        async def log_out() -> None:
            async with database.begin() as tx:
                await users.delete_session(tx, hash_token("ann's"))
            await sessions.revoke([hash_token("ann's")])

        overtaken.meanwhile = log_out
        assert await sessions.find("ann's") is None
