"""A whole botwarden with protected positions is killed, and goes on."""

import pytest

from tests.system.house import follow

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

FAST_MARKET = ("--bots", "4", "--speed", "300", "--seed", "7")


def trades_of(states):
    return sum(state["daily_trades_count"] for state in states.values())


def orders_of(client, bot_id):
    return client.get(f"/bots/{bot_id}/orders", params={"limit": 200}).json()["items"]


def all_orders(client, bots):
    return [order for bot_id in bots for order in orders_of(client, bot_id)]


def has_sold(order):
    return (order["type"], order["status"]) == ("OCO", "filled")


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
        # Which of them sells at a threshold, list or guard, is the market's affair: once it is a list.
        follow(client, lambda _states: any(has_sold(order) for order in all_orders(client, bots)))
        for bot_id in bots:
            answer = client.post(f"/bots/{bot_id}/stop").json()
            assert answer == {"message": "Bot stopped", "bot_config_id": bot_id}
            assert client.get(f"/bot-states/{bot_id}").json()["protection"] != "resting"
        orders = all_orders(client, bots)
    books = second.command("verify-ledger")

    assert {order["type"] for order in orders} == {"MARKET", "OCO", "CANCEL"}
    assert not {order["status"] for order in orders} & {"open", "resting"}
    assert books.returncode == 0, books.stdout + books.stderr
    assert "No difference." in books.stdout
