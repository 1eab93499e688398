"""Configurations of bots by the contract, line by line."""

import pytest

from tests.http.api import bad_fields, bot_wish, exact, problem

pytestmark = pytest.mark.anyio


async def test_new_bot_has_every_field_of_the_contract(user, api_key):
    """What is not given takes the contract's default; the bot is stopped."""
    answer = await user.client.post("/bots", json=bot_wish(api_key))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    state = made.pop("state")
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made.pop("strategy_params") == {
        "fast": 9,
        "slow": 21,
        "rsi_period": 14,
        "rsi_oversold": 30,
        "rsi_overbought": 70,
    }
    assert made == bot_wish(api_key) | {
        "id": made["id"],
        "user_id": user.id,
        "timeframe": "1m",
        "is_active": False,
        "check_interval_seconds": 60,
        "initial_capital": 1000,
        "position_size_fixed": None,
        "trailing_stop_perc": None,
        "trailing_stop_active": False,
        "max_daily_trades": None,
        "max_daily_loss_perc": None,
        "daily_target_perc": None,
        "reactivate_daily": True,
        "exchange_protection": False,
    }
    assert state == {
        "id": made["id"],
        "status": "stopped",
        "in_position": False,
        "entry_price": None,
        "current_position_size_coins": 0,
        "trailing_stop_price": None,
        "max_price_since_entry": None,
        "take_profit_price": None,
        "stop_loss_price": None,
        "daily_pnl": 0,
        "daily_trades_count": 0,
        "last_run_at": None,
        "last_error_message": None,
        "last_updated_at": state["last_updated_at"],
        "version": 1,
        "halted_by": "owner",
        "unwatched_position": False,
        "protection": None,
    }
    assert (await user.client.get(f"/bots/{made['id']}")).json() == answer.json()


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "x" * 101}, ["name"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": 7}, ["name"]),
        ({"symbol": "NOSUCHUSDT"}, ["symbol"]),
        ({"symbol": None}, ["symbol"]),
        ({"strategy": "martingale"}, ["strategy"]),
        ({"strategy_params": {"fast": 30}}, ["strategy_params.fast"]),
        ({"strategy_params": {"speed": 1, "slow": 1.5}}, ["strategy_params.slow", "strategy_params.speed"]),
        ({"strategy_params": []}, ["strategy_params"]),
        ({"timeframe": "7m"}, ["timeframe"]),
        ({"venue": "moon"}, ["venue"]),
        ({"api_key_id": 10**30}, ["api_key_id"]),
        ({"api_key_id": 2**62}, ["api_key_id"]),
        ({"api_key_id": "1"}, ["api_key_id"]),
        ({"api_key_id": -1}, ["api_key_id"]),
        ({"check_interval_seconds": 0}, ["check_interval_seconds"]),
        ({"check_interval_seconds": 86_401}, ["check_interval_seconds"]),
        ({"check_interval_seconds": True}, ["check_interval_seconds"]),
        ({"stop_loss_perc": 0}, ["stop_loss_perc"]),
        ({"stop_loss_perc": 100}, ["stop_loss_perc"]),
        ({"stop_loss_perc": "NaN"}, ["stop_loss_perc"]),
        ({"stop_loss_perc": "1e999999999999"}, ["stop_loss_perc"]),
        ({"take_profit_perc": 1000.01}, ["take_profit_perc"]),
        ({"take_profit_perc": "Infinity"}, ["take_profit_perc"]),
        ({"take_profit_perc": "0." + "1" * 61}, ["take_profit_perc"]),
        ({"position_size_perc": 100.1}, ["position_size_perc"]),
        ({"position_size_perc": None}, ["position_size_fixed", "position_size_perc"]),
        ({"position_size_fixed": 1}, ["position_size_fixed", "position_size_perc"]),
        ({"initial_capital": 0}, ["initial_capital"]),
        ({"initial_capital": None}, ["initial_capital"]),
        ({"trailing_stop_active": True}, ["trailing_stop_perc"]),
        ({"trailing_stop_active": "yes"}, ["trailing_stop_active"]),
        ({"max_daily_trades": 0}, ["max_daily_trades"]),
        ({"max_daily_trades": 2**31}, ["max_daily_trades"]),
        ({"max_daily_trades": 1.5}, ["max_daily_trades"]),
        ({"max_daily_loss_perc": 101}, ["max_daily_loss_perc"]),
        ({"daily_target_perc": -1}, ["daily_target_perc"]),
        ({"is_active": True}, ["is_active"]),
        ({"user_id": 1, "id": 1, "state": {}}, ["id", "state", "user_id"]),
        ({"stop_loss_perc": 0, "timeframe": "x", "name": ""}, ["name", "stop_loss_perc", "timeframe"]),
        ({"stop_loss_perc": 0, "timeframe": 7, "mood": 1}, ["mood", "stop_loss_perc", "timeframe"]),
        ({"position_size_perc": "ten", "name": ""}, ["name", "position_size_perc"]),
    ],
)
async def test_every_broken_rule_is_named(user, api_key, changes, fields):
    """A bot that breaks rules is 422, each bad field is named, and nothing is stored."""
    answer = await user.client.post("/bots", json=bot_wish(api_key) | changes)
    assert bad_fields(answer) == fields
    assert (await user.client.get("/bots")).json() == {"items": [], "next_cursor": None}


async def test_missing_fields_are_named_all_at_once(user):
    """Each required field that is missing is named; a body that is missing is named as such."""
    required = ["api_key_id", "name", "position_size_fixed", "position_size_perc", "stop_loss_perc"]
    required += ["strategy", "symbol", "take_profit_perc", "venue"]
    assert bad_fields(await user.client.post("/bots", json={})) == required
    assert bad_fields(await user.client.post("/bots")) == ["body"]


async def test_key_of_another_is_as_good_as_none(user, other_user):
    """Another's key, a key of another venue and no key at all are the same answer (peer 1 took A's key)."""
    theirs = await other_user.store_key()
    elsewhere = await user.store_key("live")
    answers = [await user.client.post("/bots", json=bot_wish(key)) for key in (theirs, elsewhere, 2**40)]
    assert [bad_fields(it) for it in answers] == [["api_key_id"]] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()


async def test_amounts_keep_every_digit(user, api_key):
    """Amounts come as numbers or strings and go as numbers, with all their digits and no exponent."""
    body = (
        b'{"name":"n","symbol":"BTCUSDT","strategy":"simple","venue":"testnet","api_key_id":%d,'
        b'"stop_loss_perc":0.000000000000000001,"take_profit_perc":"999.123456789012345678",'
        b'"position_size_fixed":1e-8,"initial_capital":123456789012345.123456789012345678}' % api_key
    )
    answer = await user.client.post("/bots", content=body)
    assert answer.status_code == 201, answer.text
    for text in (answer.content, (await user.client.get("/bots")).content):
        assert b'"stop_loss_perc":0.000000000000000001,' in text
        assert b'"take_profit_perc":999.123456789012345678,' in text
        assert b'"position_size_fixed":0.00000001,' in text
        assert b'"initial_capital":123456789012345.123456789012345678,' in text


async def test_list_is_filtered_and_paged(user, other_user, api_key):
    """Bots come in the order they were made, by status, symbol and strategy, page by page."""
    made = [
        await user.make_bot(api_key, symbol=symbol, strategy=strategy)
        for symbol in ("BTCUSDT", "ETHUSDT")
        for strategy in ("ema", "simple")
    ]
    await other_user.make_bot()
    ids = [bot["id"] for bot in made]
    await user.set_state(ids[2], status="waiting (no signal)")

    async def listed(**query):
        answer = await user.client.get("/bots", params=query)
        assert answer.status_code == 200, answer.text
        return [it["id"] for it in answer.json()["items"]], answer.json()["next_cursor"]

    assert await listed() == (ids, None)
    assert await listed(symbol="ETHUSDT") == (ids[2:], None)
    assert await listed(strategy="ema") == ([ids[0], ids[2]], None)
    assert await listed(status="waiting (no signal)") == ([ids[2]], None)
    assert await listed(status="\0") == ([], None)
    first, cursor = await listed(limit=3)
    assert first == ids[:3]
    assert await listed(limit=3, cursor=cursor) == (ids[3:], None)
    assert await listed(limit=4) == (ids, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 501}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "ü"}, "cursor"),
        ({"cursor": "YWZ0ZXI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"}, "cursor"),
    ],
)
async def test_bad_query_is_named(user, query, field):
    """A limit beyond 500 and a cursor that was never given out are 422 by their names."""
    assert bad_fields(await user.client.get("/bots", params=query)) == [field]


async def test_change_is_only_what_was_given(user, bot):
    """PATCH changes the given fields, and the version, so that the running bot takes notice."""
    answer = await user.client.patch(f"/bots/{bot['id']}", json={"name": "two", "stop_loss_perc": "1.5"})
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert changed["state"]["version"] == bot["state"]["version"] + 1
    differing = {name for name in bot if bot[name] != changed[name]}
    assert differing == {"name", "stop_loss_perc", "updated_at", "state"}
    assert (await user.client.get(f"/bots/{bot['id']}")).json() == changed


async def test_change_of_nothing_changes_nothing(user, bot):
    """A PATCH with what is already so writes no version."""
    answer = await user.client.patch(f"/bots/{bot['id']}", json={"name": bot["name"], "stop_loss_perc": 2.0})
    assert answer.json() == bot


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"status": "running"}, ["status"]),
        ({"user_id": 1}, ["user_id"]),
        ({"id": 5, "created_at": None}, ["created_at", "id"]),
        ({"name": None}, ["name"]),
        ({"stop_loss_perc": None}, ["stop_loss_perc"]),
        ({"position_size_fixed": 1}, ["position_size_fixed", "position_size_perc"]),
        ({"symbol": "NOSUCHUSDT"}, ["symbol"]),
        ({"api_key_id": 2**40}, ["api_key_id"]),
        ({"venue": "live"}, ["api_key_id"]),
        ({"strategy_params": {"fast": 99, "slow": 5}}, ["strategy_params.fast"]),
        ({"trailing_stop_active": True}, ["trailing_stop_perc"]),
    ],
)
async def test_change_is_judged_as_a_whole(user, bot, changes, fields):
    """What a PATCH makes of a bot has to be sound; read-only and unknown fields are named."""
    assert bad_fields(await user.client.patch(f"/bots/{bot['id']}", json=changes)) == fields
    assert (await user.client.get(f"/bots/{bot['id']}")).json() == bot


async def test_size_is_switched_by_naming_both(user, bot):
    """One size replaces the other when the other is set to null in the same request."""
    answer = await user.client.patch(
        f"/bots/{bot['id']}", json={"position_size_fixed": 0.1, "position_size_perc": None}
    )
    assert answer.status_code == 200, answer.text
    assert exact(answer)["position_size_perc"] is None


async def test_other_strategy_brings_its_own_parameters(user, bot):
    """Parameters of the former strategy do not stand in the way of another one."""
    answer = await user.client.patch(f"/bots/{bot['id']}", json={"strategy": "simple"})
    assert (answer.status_code, answer.json()["strategy_params"]) == (200, {})


@pytest.mark.parametrize("change", [{"symbol": "ETHUSDT"}, {"api_key_id": 0}])
async def test_position_ties_bot_to_its_symbol_and_key(user, bot, change):
    """Symbol and key of a bot that holds a position cannot be changed; the rest can."""
    await user.hold(bot["id"])
    change = {name: value or await user.store_key() for name, value in change.items()}
    problem(await user.client.patch(f"/bots/{bot['id']}", json=change), 409)
    assert (await user.client.patch(f"/bots/{bot['id']}", json={"name": "still"})).status_code == 200


@pytest.mark.parametrize("number", ["open_order_number", "resting_list_number"])
async def test_orders_tie_a_flat_bot_to_its_symbol(user, bot, number):
    """What is in flight or at rest is looked for, and taken off, where it was sent: there the bot stays."""
    await user.set_state(bot["id"], orders_made=1, **{number: 1})
    problem(await user.client.patch(f"/bots/{bot['id']}", json={"symbol": "ETHUSDT"}), 409)
    await user.set_state(bot["id"], **{number: None})
    assert (await user.client.patch(f"/bots/{bot['id']}", json={"symbol": "ETHUSDT"})).status_code == 200


async def test_deleted_bot_is_gone(user, bot):
    """DELETE answers 204; afterwards there is no such bot, state or history."""
    assert (await user.client.delete(f"/bots/{bot['id']}")).status_code == 204
    for path in ("/bots/{}", "/bot-states/{}", "/bots/{}/trades", "/bots/{}/events", "/bots/{}/pnl"):
        problem(await user.client.get(path.format(bot["id"])), 404)
    problem(await user.client.delete(f"/bots/{bot['id']}"), 404)


@pytest.mark.parametrize(
    "changes", [{"is_active": True}, {"in_position": True}, {"orders_made": 1, "open_order_number": 1}]
)
async def test_only_a_stopped_flat_bot_is_deleted(user, bot, changes):
    """DELETE is 409 while the bot is active, holds a position, or has an order in flight."""
    if "in_position" in changes:
        await user.hold(bot["id"])
    else:
        await user.set_state(bot["id"], **changes)
    problem(await user.client.delete(f"/bots/{bot['id']}"), 409)
    assert (await user.client.get(f"/bots/{bot['id']}")).status_code == 200
