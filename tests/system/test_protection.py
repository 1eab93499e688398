"""A whole botwarden with protected positions is killed, and goes on."""

import pytest

from tests.system.house import follow

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

FAST_MARKET = ("--bots", "4", "--speed", "300", "--seed", "7")


def trades_of(states):
    return sum(state["daily_trades_count"] for state in states.values())


def orders_of(client, bot_id):
    return client.get(f"/bots/{bot_id}/orders", params={"limit": 200}).json()["items"]


def test_protected_positions_survive_a_kill(up):
    """Lists rest, are taken off and execute through `kill -9`; the ledger is clean, a stop leaves none."""
    first = up(*FAST_MARKET)
    account = first.demo_account
    with first.client(account) as client:
        bots = [bot["id"] for bot in client.get("/bots").json()["items"]]
        for bot_id in bots:
            tight = {"exchange_protection": True, "stop_loss_perc": 0.3, "take_profit_perc": 0.3}
            client.patch(f"/bots/{bot_id}", json=tight).raise_for_status()
        follow(client, lambda states: trades_of(states) >= 6)
    first.kill()

    second = up(*FAST_MARKET)
    with second.client(account) as client:
        reached = trades_of({bot["id"]: bot["state"] for bot in client.get("/bots").json()["items"]})
        follow(client, lambda states: trades_of(states) >= reached + 6)
        for bot_id in bots:
            answer = client.post(f"/bots/{bot_id}/stop").json()
            assert answer == {"message": "Bot stopped", "bot_config_id": bot_id}
            assert client.get(f"/bot-states/{bot_id}").json()["protection"] != "resting"
        orders = [order for bot_id in bots for order in orders_of(client, bot_id)]
    books = second.command("verify-ledger")

    assert {order["type"] for order in orders} == {"MARKET", "OCO", "CANCEL"}
    assert not {order["status"] for order in orders} & {"open", "resting"}
    assert any(order["type"] == "OCO" and order["status"] == "filled" for order in orders)
    assert books.returncode == 0, books.stdout + books.stderr
    assert "No difference." in books.stdout
