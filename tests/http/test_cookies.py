"""Browsers: the cookie opens every door, but changes nothing without the CSRF token."""

import itertools

import pytest
from msgspec.structs import replace

from botwarden.http import csrf
from tests.http.api import SETTINGS, open_api, open_deps, problem

pytestmark = pytest.mark.anyio

WHO = {"email": "browser@example.org", "password": "correct horse battery"}

_numbers = itertools.count()


@pytest.fixture
def who() -> dict[str, str]:
    """Somebody new."""
    return WHO | {"email": f"browser{next(_numbers)}@example.org"}


@pytest.fixture
async def browser(api, who):
    """A client that keeps cookies, logged in."""
    client = api.client()
    await client.post("/auth/register", json=who)
    answer = await client.post("/auth/login", json=who)
    assert answer.status_code == 200, answer.text
    return client


async def test_cookies_are_as_the_contract_says(browser, who):
    """The token's cookie is HttpOnly and SameSite=Lax; the CSRF token's is readable."""
    answer = await browser.post("/auth/login", json=who)
    token, readable = sorted(answer.headers.get_list("set-cookie"))
    assert token.startswith(f"botwarden={answer.json()['access_token']}; ")
    assert {"httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in token.split(";")}
    assert readable.startswith("csrftoken=")
    assert "httponly" not in readable.lower()
    assert "secure" not in (token + readable).lower()


async def test_cookies_are_secure_by_setting(database, redis_url):
    """Where the API is reached by https, cookies never go over plain http."""
    settings = replace(SETTINGS, secure_cookies=True)
    async with open_deps(database, redis_url, settings) as deps, open_api(deps) as api:
        client = api.client()
        await client.post("/auth/register", json=WHO)
        answer = await client.post("/auth/login", json=WHO)
        assert all("; secure" in it.lower() for it in answer.headers.get_list("set-cookie"))
        assert answer.headers["strict-transport-security"]


async def test_cookie_reads_and_needs_the_token_to_write(browser, who):
    """GET by cookie works; unsafe methods are 403 without the CSRF token, or with another one."""
    assert (await browser.get("/auth/me")).json()["email"] == who["email"]
    token = browser.cookies["csrftoken"]
    for headers in (
        {},
        {"x-csrftoken": ""},
        {"x-csrftoken": "x" * len(token)},
        {"x-csrftoken": "ü".encode()},
    ):
        problem(await browser.put("/halt", headers=headers), 403)
    assert (await browser.get("/halt")).json()["halted"] is False
    assert (await browser.put("/halt", headers={"x-csrftoken": token})).status_code == 204
    assert (await browser.get("/halt")).json()["halted"] is True


async def test_planted_cookie_does_not_help(browser):
    """A page that plants a CSRF cookie and sends the same as a header is refused all the same."""
    forged = csrf.csrf_token("another session's token")
    token = browser.cookies["botwarden"]
    cookie = f"botwarden={token}; csrftoken={forged}"
    browser.cookies.clear()
    problem(await browser.put("/halt", headers={"cookie": cookie, "x-csrftoken": forged}), 403)


async def test_bearer_needs_no_csrf_token(browser):
    """Who names the token in a header is no browser's accident; a bad header is not made up by a cookie."""
    token = browser.cookies["botwarden"]
    assert (await browser.put("/halt", headers={"authorization": f"Bearer {token}"})).status_code == 204
    problem(await browser.get("/halt", headers={"authorization": "Bearer nonsense"}), 401)


async def test_logout_takes_the_cookies_away(browser):
    """After logging out nothing is left in the browser, and the old token is dead."""
    token = browser.cookies["botwarden"]
    answer = await browser.post("/auth/logout", headers={"x-csrftoken": browser.cookies["csrftoken"]})
    assert answer.status_code == 204
    assert not dict(browser.cookies)
    problem(await browser.get("/auth/me", headers={"cookie": f"botwarden={token}"}), 401)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "https://bots.example.org"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "{own}"}, 200),
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "https://evil.example.org"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
@pytest.mark.usefixtures("browser")
async def test_other_pages_cannot_log_anybody_in(api, who, headers, status):
    """Log-in and registration look at where the request comes from."""
    headers = {name: value.format(own=api.url) for name, value in headers.items()}
    assert (await api.client().post("/auth/login", json=who, headers=headers)).status_code == status
    other = who | {"email": "second-" + who["email"]}
    answer = await api.client().post("/auth/register", json=other, headers=headers)
    assert answer.status_code == (201 if status == 200 else 403)


async def test_pages_of_named_origins_may_call(database, redis_url):
    """An origin that the operator named may log in and read; others get no leave."""
    settings = replace(SETTINGS, cors_origins=("https://dash.example.org",))
    async with open_deps(database, redis_url, settings) as deps, open_api(deps) as api:
        client = api.client()
        await client.post("/auth/register", json=WHO)
        headers = {"origin": "https://dash.example.org", "sec-fetch-site": "cross-site"}
        answer = await client.post("/auth/login", json=WHO, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://dash.example.org"
        answer = await client.get("/auth/me", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers
