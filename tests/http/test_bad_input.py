"""Whatever is sent, the answer is a problem that names the field, and nothing is half done."""

from collections.abc import Mapping

import httpx
import msgspec
import pytest

from botwarden.http.accounts import Credentials, PasswordChange
from botwarden.http.api_keys import NewApiKey
from botwarden.http.schemas import NewBotBody, StateChanges
from tests.http.api import Member, bot_wish, problem

pytestmark = pytest.mark.anyio

#: JSON texts that no field of an amount, a name, a choice or a flag expects, or only some.
ODD_VALUES = [
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "-0.000000000000000000000000001",
    "1e-400",
    "1e400",
    "1e999999999",
    "9" * 400,
    "0." + "1" * 400,
    str(2**31),
    str(2**63),
    str(-(2**63) - 1),
    str(2**64),
    "1.5",
    '""',
    '" "',
    '"NaN"',
    '"-Infinity"',
    '"1e5"',
    '"0x10"',
    '"\\u0661"',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\r\\nset-cookie: a=b"',
    '"' + "x" * 5000 + '"',
    '"' + "\\u202e" * 50 + '"',
    '"\'; DROP TABLE bot_states; --"',
    '"../../etc/passwd"',
    "[]",
    "[[1]]",
    "{}",
    '{"a": null}',
    '{"\\u0000": 1}',
    "[" * 200 + "]" * 200,
]

#: Bodies that are no JSON object.
BROKEN_BODIES = [
    b"{",
    b"{]",
    b"[]",
    b"null",
    b'"text"',
    b"1",
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 01}',
    b"\xff\xfe{}",
    b'{"a": "\xff"}',
    b'{"a": "\xed\xa0\x80"}',
    b"\x00",
    b"{}{}",
    b"[" * 100_000,
    b'{"a":' * 50_000,
]

BOT_FIELDS = NewBotBody.__struct_fields__
STATE_FIELDS = StateChanges.__struct_fields__
JSON = {"content-type": "application/json"}


async def send(user: Member, method: str, path: str, body: bytes) -> httpx.Response:
    return await user.client.request(method, path, content=body, headers=JSON)


def with_field(wish: Mapping[str, object], field: str, value: str) -> bytes:
    """Return a body in which one field is exactly this text."""
    fields = {name: msgspec.json.encode(it) for name, it in wish.items()} | {field: value.encode()}
    return b"{%s}" % b",".join(b'"%s":%s' % (name.encode(), text) for name, text in fields.items())


def check_refused(answer: httpx.Response, field: str) -> None:
    """Hold a refusal to its form: the field is named, unless the text was no JSON at all."""
    if answer.status_code == 400:
        problem(answer, 400)
        return
    named = [it["field"].partition(".")[0] for it in problem(answer, 422)["errors"]]
    assert field in named or (field, named) == ("trailing_stop_active", ["trailing_stop_perc"])


@pytest.mark.parametrize("field", BOT_FIELDS)
async def test_odd_values_of_a_bot_are_refused_by_name(user, api_key, bot, field):
    """A bot has what it had after each change that is refused, and what cannot be a bot makes none."""
    path, now, made = f"/bots/{bot['id']}", bot, 1
    for value in ODD_VALUES:
        changed = await send(user, "PATCH", path, with_field({}, field, value))
        if changed.status_code == 200:
            now = changed.json()
        else:
            check_refused(changed, field)
            created = await send(user, "POST", "/bots", with_field(bot_wish(api_key), field, value))
            made += created.status_code == 201
            if created.status_code != 201:
                check_refused(created, field)
    assert (await user.client.get(path)).json() == now
    assert len((await user.client.get("/bots")).json()["items"]) == made


@pytest.mark.parametrize("field", STATE_FIELDS)
async def test_odd_values_of_a_state_are_refused_by_name(user, bot, field):
    """A state is at the version it was at after each value that is refused."""
    now = await user.state(bot["id"])
    for value in ODD_VALUES:
        answer = await send(user, "PUT", f"/bot-states/{bot['id']}", with_field({}, field, value))
        if answer.status_code == 200:
            now = answer.json()
        else:
            check_refused(answer, field)
    assert await user.state(bot["id"]) == now


@pytest.mark.parametrize(
    ("path", "shape", "wrong"),
    [
        ("/auth/register", Credentials, {"email": "a", "password": "short"}),
        ("/auth/password", PasswordChange, {"current_password": "short", "new_password": "short"}),
        ("/api-keys", NewApiKey, {"label": "", "venue": "testnet", "api_key": "", "secret_key": ""}),
    ],
)
async def test_odd_values_elsewhere_are_refused(user, path, shape, wrong):
    """Accounts and keys say what is wrong with them; something is, in each of these bodies."""
    for field in shape.__struct_fields__:
        for value in ODD_VALUES:
            answer = await send(user, "POST", path, with_field(wrong, field, value))
            if answer.status_code != 400:
                assert problem(answer, 422)["errors"]
    assert (await user.client.get("/api-keys")).json() == {"items": []}


async def test_odd_log_ins_are_refused(user):
    """Nobody is let in, and nothing breaks, whatever is given for an address or a password."""
    for wish in ({"email": user.email}, {"password": "not this one"}):
        [field] = {"email", "password"} - wish.keys()
        for value in ODD_VALUES:
            answer = await send(user, "POST", "/auth/login", with_field(wish, field, value))
            assert answer.status_code in (400, 401, 422, 429), answer.text
            problem(answer, answer.status_code)


@pytest.mark.parametrize("body", BROKEN_BODIES, ids=lambda body: repr(body[:20]))
async def test_bodies_that_are_no_object_are_400(user, bot, api_key, body):
    """What is no JSON object is 400 everywhere, and changes nothing."""
    before = await user.state(bot["id"])
    for method, path in (
        ("POST", "/auth/register"),
        ("POST", "/auth/login"),
        ("POST", "/auth/password"),
        ("POST", "/api-keys"),
        ("POST", f"/api-keys/{api_key}/paper-reset"),
        ("POST", "/bots"),
        ("PATCH", f"/bots/{bot['id']}"),
        ("PUT", f"/bot-states/{bot['id']}"),
    ):
        answer = await send(user, method, path, body)
        problem(answer, 413 if len(body) > 256 * 1024 else 400)
    assert await user.state(bot["id"]) == before


@pytest.mark.parametrize("control", ["\\n", "\\r", "\\t", "\\u001b[2J", "\\u007f", "\\u0085", "\\u2028"])
async def test_names_are_one_line(user, api_key, control):
    """A name cannot forge a line of a log or a table, nor steer a terminal."""
    name = f'"a{control}b"'
    check_refused(await send(user, "POST", "/bots", with_field(bot_wish(api_key), "name", name)), "name")
    key = {"venue": "testnet", "api_key": "a", "secret_key": "b"}
    check_refused(await send(user, "POST", "/api-keys", with_field(key, "label", name)), "label")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"if-match": '"1"' * 1000}, 412),
        ({"if-match": "nonsense"}, 412),
        ({"if-match": ""}, 412),
        ({"if-match": '"99999999999999999999999"'}, 412),
        ({"idempotency-key": ""}, 422),
        ({"idempotency-key": "x" * 256}, 422),
        ({"idempotency-key": "a\tb"}, 422),
        ({"authorization": "Bearer"}, 401),
        ({"authorization": "Basic YTpi"}, 401),
        ({"authorization": "Bearer " + "x" * 5000}, 401),
        ({"authorization": b"Bearer \xff\xfe"}, 401),
        ({"content-type": "text/plain"}, 200),
    ],
)
async def test_odd_headers_are_refused(user, bot, header, status):
    """A header that says nothing sensible is no condition that holds, no key and no caller."""
    answer = await user.client.put(
        f"/bot-states/{bot['id']}", content=b'{"daily_trades_count": 1}', headers=JSON | header
    )
    if status != 200:
        problem(answer, status)
    assert answer.status_code == status
    assert (await user.row(bot["id"])).daily_trades_count == (1 if status == 200 else 0)


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "x", "", "501", "9" * 30, "\u0661", "NaN", "1e3"])
@pytest.mark.parametrize(
    ("path", "name"), [("/bots", "limit"), ("/bots/{}/events", "limit"), ("/bots/{}/pnl", "days")]
)
async def test_odd_numbers_of_a_query_are_refused_by_name(user, bot, path, name, number):
    """A number out of bounds is 422, and says which."""
    answer = await user.client.get(path.format(bot["id"]), params={name: number})
    assert [it["field"] for it in problem(answer, 422)["errors"]] == [name]


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        ("/bots/stop-all", {"close_positions": "maybe"}, "must be true or false"),
        ("/symbols", {"venue": "mars"}, "is none of the values that it can have"),
        ("/bots", {"limit": "x"}, "must be a whole number"),
        ("/bots", {"limit": "0"}, "must be at least 1"),
        ("/bots", {"limit": "501"}, "must be at most 500"),
    ],
)
async def test_wrong_query_is_explained_in_plain_words(user, path, params, message):
    """Nobody needs to know our types to understand what was wrong."""
    answer = await user.client.request("POST" if path.endswith("all") else "GET", path, params=params)
    assert problem(answer, 422)["errors"] == [{"field": next(iter(params)), "message": message}]
