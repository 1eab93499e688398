"""A whole botwarden is killed while its bots trade, and goes on."""

import pytest

from tests.system.house import follow

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

FAST_MARKET = ("--bots", "6", "--speed", "300", "--seed", "7")


def trades_of(states):
    return sum(state["daily_trades_count"] for state in states.values())


def test_a_killed_up_forgets_nothing_and_orders_nothing_twice(up):
    """After `kill -9` amid trading, states go on from the database, and the ledger is clean."""
    first = up(*FAST_MARKET)
    account = first.demo_account
    with first.client(account) as client:
        before = follow(client, lambda states: trades_of(states) >= 20)
    first.kill()

    second = up(*FAST_MARKET)
    with second.client(account) as client:
        bots = client.get("/bots").json()["items"]
        at_once = {bot["id"]: bot["state"] for bot in bots}
        for bot_id, state in before.items():
            assert at_once[bot_id]["version"] >= state["version"]
            assert at_once[bot_id]["daily_trades_count"] >= state["daily_trades_count"]
        assert all(bot["is_active"] for bot in bots)
        reached = trades_of(at_once)
        follow(client, lambda states: trades_of(states) >= reached + 10)
        client.post("/bots/stop-all").raise_for_status()
    books = second.command("verify-ledger")

    assert books.returncode == 0, books.stdout + books.stderr
    assert "No difference." in books.stdout
    assert second.stop() == 0


def test_a_stopped_bot_stays_stopped_through_a_restart(up):
    """What its owner stopped does not trade again after a restart, and what ran runs on."""
    first = up(*FAST_MARKET)
    account = first.demo_account
    with first.client(account) as client:
        bots = client.get("/bots").json()["items"]
        stopped = bots[0]["id"]
        assert client.post(f"/bots/{stopped}/stop").json()["message"] == "Bot stopped"
        orders = client.get(f"/bots/{stopped}/orders").json()["items"]
    assert first.stop() == 0

    second = up("--speed", "300", "--seed", "7")
    with second.client(account) as client:
        follow(client, lambda states: trades_of(states) >= 10)
        state = client.get(f"/bot-states/{stopped}").json()

        assert (state["status"], state["halted_by"]) == ("stopped", "owner")
        assert client.get(f"/bots/{stopped}/orders").json()["items"] == orders
