"""Configurations of bots by the contract, line by line."""

import pytest

from tests.http.api import bot_wish

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
    }
    assert (await user.client.get(f"/bots/{made['id']}")).json() == answer.json()
