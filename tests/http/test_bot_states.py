"""The state of a bot as a versioned resource, by the contract."""

from decimal import Decimal

import anyio
import pytest

from tests.http.api import bad_fields, exact, problem

pytestmark = pytest.mark.anyio

FIELDS = {
    "id",
    "status",
    "in_position",
    "entry_price",
    "current_position_size_coins",
    "trailing_stop_price",
    "max_price_since_entry",
    "take_profit_price",
    "stop_loss_price",
    "daily_pnl",
    "daily_trades_count",
    "last_run_at",
    "last_error_message",
    "last_updated_at",
    "version",
    "halted_by",
    "unwatched_position",
    "protection",
}

POSITION = {"in_position": True, "entry_price": 60000, "current_position_size_coins": "0.5"}


async def put(user, bot, body=None, *, content=None, **headers):
    path = f"/bot-states/{bot['id']}"
    if content is not None:
        return await user.client.put(path, content=content, headers=headers)
    return await user.client.put(path, json=body, headers=headers)


async def test_state_has_exactly_the_contracts_fields_and_its_version_as_etag(user, bot):
    """GET answers the state with `ETag: "<version>"`."""
    answer = await user.client.get(f"/bot-states/{bot['id']}")
    assert set(answer.json()) == FIELDS
    assert answer.headers["etag"] == '"1"'
    assert answer.json()["last_updated_at"].endswith("Z")


async def test_only_given_fields_change(user, bot):
    """A PUT answers the whole updated state, and leaves what it does not name as it was."""
    before = await user.state(bot["id"])
    answer = await put(user, bot, {"take_profit_price": 70000.5, "last_error_message": "seen"})
    after = answer.json()
    assert answer.headers["etag"] == f'"{after["version"]}"'
    assert after == before | {
        "take_profit_price": 70000.5,
        "last_error_message": "seen",
        "version": before["version"] + 1,
        "last_updated_at": after["last_updated_at"],
    }
    assert after["last_updated_at"] > before["last_updated_at"]
    assert await user.state(bot["id"]) == after


async def test_put_of_what_is_already_so_writes_no_version(user, bot):
    """`last_updated_at` changes only with `version`, and neither does without a change."""
    before = await user.state(bot["id"])
    assert (await put(user, bot, {"daily_pnl": "0.0", "status": "stopped"})).json() == before
    assert (await put(user, bot, {})).json() == before


async def test_amounts_are_exact(user, bot):
    """A number is stored as it was written, digit by digit, and answered without an exponent."""
    answer = await put(user, bot, content=b'{"daily_pnl": -0.000000000000000003, "stop_loss_price": 1E-8}')
    assert b'"daily_pnl":-0.000000000000000003,' in answer.content
    assert b'"stop_loss_price":0.00000001,' in answer.content
    answer = await put(user, bot, content=b'{"daily_pnl": 123456789012345678.123456789012345678}')
    assert exact(answer)["daily_pnl"] == Decimal("123456789012345678.123456789012345678")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (
            {"id": 1, "version": 9, "last_updated_at": "2030-01-01T00:00:00Z"},
            ["id", "last_updated_at", "version"],
        ),
        ({"last_run_at": None, "halted_by": None}, ["halted_by", "last_run_at"]),
        ({"unwatched_position": False}, ["unwatched_position"]),
        ({"protection": "resting"}, ["protection"]),
        ({"user_id": 3, "term": 1, "is_active": True}, ["is_active", "term", "user_id"]),
        ({"status": "running"}, ["status"]),
        ({"status": "waiting (no signal)"}, ["status"]),
        ({"status": None}, ["status"]),
        ({"status": "STOPPED"}, ["status"]),
        ({"daily_trades_count": -1}, ["daily_trades_count"]),
        ({"daily_trades_count": 1.5}, ["daily_trades_count"]),
        ({"daily_pnl": "NaN"}, ["daily_pnl"]),
        ({"daily_pnl": None}, ["daily_pnl"]),
        ({"daily_pnl": True}, ["daily_pnl"]),
        ({"entry_price": "-1"}, ["entry_price"]),
        ({"stop_loss_price": "Infinity"}, ["stop_loss_price"]),
        ({"stop_loss_price": "1e400"}, ["stop_loss_price"]),
        ({"in_position": "true"}, ["in_position"]),
        ({"last_error_message": "a\0b"}, ["last_error_message"]),
        ({"stop_loss_price": 10, "take_profit_price": 5}, ["stop_loss_price", "take_profit_price"]),
        (
            {"in_position": True},
            ["current_position_size_coins", "entry_price", "in_position"],
        ),
        ({"status": "x", "daily_pnl": [], "nonsense": 1}, ["daily_pnl", "nonsense", "status"]),
    ],
)
async def test_every_bad_field_is_named(user, bot, body, fields):
    """What nobody may write, what is no number, and what contradicts itself is 422, and nothing changes."""
    before = await user.state(bot["id"])
    assert bad_fields(await put(user, bot, body)) == fields
    assert await user.state(bot["id"]) == before


async def test_huge_exponent_is_refused(user, bot):
    """A number that no machine could write out is an error of its sender."""
    assert bad_fields(await put(user, bot, content=b'{"daily_pnl": 1e999999}')) == ["daily_pnl"]
    assert (await put(user, bot, content=b'{"daily_pnl": 1e99999999999999999999}')).status_code in (400, 422)


async def test_position_is_changed_only_while_stopped(user, bot):
    """A position may be written while the bot is stopped; while it runs that is 409, the rest is not."""
    written = (await put(user, bot, POSITION)).json()
    assert written["unwatched_position"] is True
    await user.client.post(f"/bots/{bot['id']}/start")
    problem(await put(user, bot, {"entry_price": 1}), 409)
    assert (await put(user, bot, {"stop_loss_price": 59000})).status_code == 200
    assert (await put(user, bot, {"entry_price": "60000.0"})).status_code == 200


async def test_position_is_not_changed_while_an_order_is_in_flight(user, bot):
    """Nothing of a position is written while an order may change it."""
    await user.set_state(bot["id"], orders_made=1, open_order_number=1)
    problem(await put(user, bot, POSITION), 409)


async def test_status_starts_and_stops(user, bot):
    """`pending` is a start and `stopped` is a stop."""
    started = (await put(user, bot, {"status": "pending"})).json()
    assert (started["status"], started["halted_by"]) == ("pending", None)
    assert (await user.client.get(f"/bots/{bot['id']}")).json()["is_active"] is True
    stopped = (await put(user, bot, {"status": "stopped"})).json()
    assert (stopped["status"], stopped["halted_by"]) == ("stopped", "owner")
    assert (await user.client.get(f"/bots/{bot['id']}")).json()["is_active"] is False


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"1"', 200), ("*", 200), ('W/"1"', 200), ('"7", "1"', 200), ('"2"', 412), ('"x"', 412), ("", 412)],
)
async def test_condition_is_obeyed(user, bot, condition, status):
    """With `If-Match` a PUT changes only the version that it names, and otherwise nothing: 412."""
    answer = await put(user, bot, {"daily_pnl": 5}, **{"if-match": condition})
    assert answer.status_code == status, answer.text
    assert (await user.state(bot["id"]))["daily_pnl"] == (5 if status == 200 else 0)


async def test_no_increment_is_lost(user, bot):
    """A hundred increments by read and conditional PUT, four at a time, are a hundred (peer 1: 28)."""

    async def add(count: int) -> None:
        for _ in range(count):
            status = 412
            # Both say: nothing was changed, look and try again.
            while status in (412, 423):
                seen = await user.client.get(f"/bot-states/{bot['id']}")
                count_now = seen.json()["daily_trades_count"] + 1
                answer = await put(
                    user, bot, {"daily_trades_count": count_now}, **{"if-match": seen.headers["etag"]}
                )
                status = answer.status_code
                assert status in (200, 412, 423), answer.text

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(add, 25)
    assert (await user.state(bot["id"]))["daily_trades_count"] == 100


async def test_put_and_bot_never_undo_each_other(user, bot):
    """Fields written by an owner and by the running bot at the same moment all stand."""

    async def owner() -> None:
        for number in range(30):
            answer = await put(user, bot, {"take_profit_price": 100 + number})
            assert answer.status_code == 200, answer.text

    async def runner() -> None:
        for number in range(30):
            await user.set_state(bot["id"], max_price_since_entry=Decimal(number + 1))

    async with anyio.create_task_group() as group:
        group.start_soon(owner)
        group.start_soon(runner)
    state = await user.state(bot["id"])
    assert (state["take_profit_price"], state["max_price_since_entry"]) == (129, 30)
    assert state["version"] == 61


async def test_row_that_stays_locked_is_423(api, user, bot):
    """A locked row is waited for, then the answer is 423 and nothing was changed; without the lock, 200."""
    from botwarden.persistence import bots

    async with api.database.begin() as tx:
        await bots.lock_bot(tx, user.id, bot["id"])
        answer = await put(user, bot, {"daily_pnl": 1})
        problem(answer, 423)
        assert int(answer.headers["retry-after"]) >= 1
        assert (await user.state(bot["id"]))["daily_pnl"] == 0
    assert (await put(user, bot, {"daily_pnl": 1})).status_code == 200


async def test_put_is_in_the_audit_trail_and_the_ledger(user, bot):
    """A PUT is an event with cause `api` and the fields that changed, as numbers."""
    await put(user, bot, {"daily_pnl": "-3.2", "daily_trades_count": 2})
    event = exact(await user.client.get(f"/bots/{bot['id']}/events"))["items"][0]
    assert (event["cause"], event["version"]) == ("api", 2)
    assert event["changes"] == {"daily_pnl": [0, Decimal("-3.2")], "daily_trades_count": [0, 2]}
    today = (await user.client.get(f"/bots/{bot['id']}/pnl", params={"days": 1})).json()
    assert today["realised"] == -3.2
