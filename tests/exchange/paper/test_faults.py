"""Which requests a fault takes, what is no fault at all, and who may order one."""

from typing import Any

import aiohttp
import anyio
import pytest

from botwarden.errors import Missing, Refused
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.fault_clock import ShiftedClock
from botwarden.exchange.paper.fault_plan import FaultPlan
from botwarden.exchange.paper.faults import RequestFault
from tests.exchange.paper.house import TOKEN, House

pytestmark = pytest.mark.anyio


class Hands:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now_ms(self) -> int:
        """The wall."""
        return int(self.now_s * 1000)

    def monotonic(self) -> float:
        """The same, in seconds."""
        return self.now_s


def plan_of(*faults: RequestFault, hands: Hands | None = None) -> FaultPlan:
    """A plan with these."""
    plan = FaultPlan(ShiftedClock(hands or Hands()))
    for fault in faults:
        plan.add(fault)
    return plan


def takes(
    plan: FaultPlan,
    method: str = "POST",
    path: str = "order",
    *,
    api_key: str | None = "k",
    **params: str,
) -> bool:
    """Whether a request is caught."""
    return plan.catch_request(method, path, params=params, api_key=api_key) is not None


@pytest.mark.parametrize(("on", "taken"), [
    ("POST order", ["POST order"]),
    ("* order", ["POST order", "GET order", "DELETE order"]),
    ("GET *", ["GET order", "GET ticker/price"]),
    ("WS order.*", ["WS order.place"]),
    ("* *", ["POST order", "GET order", "DELETE order", "GET ticker/price", "WS order.place"]),
    ("PUT order", []),
])  # fmt: skip
def test_by_method_and_path(on: str, taken: list[str]) -> None:
    """Method and path select, with * for anything."""
    sent = ["POST order", "GET order", "DELETE order", "GET ticker/price", "WS order.place"]
    assert [one for one in sent if takes(plan_of(RequestFault(on=on)), *one.split(" "))] == taken


def test_by_parameters_and_key() -> None:
    """A request has to have all that the fault names; what else it has does not matter."""
    plan = plan_of(
        RequestFault(on="POST order", where={"symbol": "A", "side": "BUY"}, api_key="k", times=None)
    )
    assert takes(plan, symbol="A", side="BUY", type="MARKET")
    assert not takes(plan, symbol="A")
    assert not takes(plan, symbol="A", side="SELL")
    assert not takes(plan, symbol="A", side="BUY", api_key="other")


def test_the_nth_and_how_often() -> None:
    """From the n-th matching call on, so many times; other calls do not count."""
    plan = plan_of(RequestFault(on="POST order", nth=3, times=2))
    assert not takes(plan, "GET")
    assert [takes(plan) for _ in range(6)] == [False, False, True, True, False, False]
    assert plan.all()[0].shown()["matched"] == 6


def test_chance_repeats_with_its_seed() -> None:
    """The same seed draws the same calls, another seed others, about as many as was asked for."""

    def drawn(seed: int) -> list[bool]:
        plan = plan_of(RequestFault(on="POST order", probability=0.3, seed=seed, times=None))
        return [takes(plan) for _ in range(1000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 240 < sum(drawn(1)) < 360


def test_a_window_of_time() -> None:
    """Only within its time, counted from the scheduling, and only those calls count as matching."""
    hands = Hands()
    plan = plan_of(RequestFault(on="POST order", after_s=10, for_s=5, times=None, nth=2), hands=hands)
    seen = []
    for now_s in (100, 109.9, 110, 114.9, 115):
        hands.now_s = now_s
        seen.append(takes(plan))
    assert seen == [False, False, False, True, False]


def test_the_first_that_takes_a_call_has_it() -> None:
    """Faults are asked in the order of their scheduling; a spent one lets the next have its turn."""
    plan = plan_of(RequestFault(on="POST order", name="a"), RequestFault(on="POST *", name="b"))
    assert plan.is_empty is False
    assert [takes(plan) for _ in range(3)] == [True, True, False]
    plan.clear("a")
    assert [one.fault.name for one in plan.all()] == ["b"]
    plan.clear()
    assert plan.is_empty


def test_a_drifting_clock() -> None:
    """A clock is ahead by its offset and by what it has drifted since; durations stay true."""
    hands = Hands()
    clock = ShiftedClock(hands)
    clock.shift(offset_ms=-1270, drift_ppm=1000)
    assert clock.now_ms() == 98_730
    hands.now_s += 10
    assert (clock.now_ms(), clock.monotonic()) == (108_740, 110)


@pytest.mark.parametrize(("wish", "field"), [
    ({"on": "order"}, "on"),
    ({"nth": 0}, "nth"),
    ({"times": 0}, "times"),
    ({"probability": 1.5}, "probability"),
    ({"probability": "often"}, "probability"),
    ({"for_s": 0}, "for_s"),
    ({"after_s": -1}, "after_s"),
    ({"name": "a b"}, "name"),
    ({"colour": "red"}, "colour"),
    ({"answer": "silence"}, "answer"),
    ({"executes": "no"}, "answer"),
    ({"executes": "late"}, "answer"),
    ({"executes": "no", "answer": "reset", "waits": "after"}, "waits"),
    ({"held": True, "delay_s": 1}, "delay_s"),
    ({"answer": "error", "executes": "no"}, "code"),
    ({"code": -1007}, "code"),
    ({"answer": "html"}, "status"),
    ({"answer": "html", "status": 200}, "status"),
    ({"status": 500}, "status"),
    ({"answer": "error", "code": -9999, "executes": "no"}, "message"),
    ({"answer": "reset", "message": "x"}, "message"),
    ({"answer": "reset", "retry_after_s": 1}, "retry_after_s"),
    ({"answer": "error", "code": -1003}, "executes"),
    ({"answer": "html", "status": 429}, "executes"),
    ({"kind": "nonsense"}, "kind"),
])  # fmt: skip
async def test_what_is_no_fault(house: House, wish: dict[str, Any], field: str) -> None:
    """What cannot be meant is refused over the wire with the field's name, and nothing is scheduled."""
    body = {"kind": "request", "on": "POST order"} | wish
    async with aiohttp.ClientSession(headers={"X-Paper-Admin": TOKEN}) as http:
        async with http.post(f"{house.origin}/paper/faults", json=body) as answer:
            assert answer.status == 400
            assert field in (await answer.json())["error"]
        async with http.get(f"{house.origin}/paper/faults") as answer:
            assert (await answer.json()) == {"faults": []}


async def test_names_and_waiting(house: House) -> None:
    """Names are unique; a wait in vain says so; a cleared fault ends the waits for it."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        first = await admin.add_fault(RequestFault(on="GET ping"))
        assert await admin.add_fault(RequestFault(on="GET ping", name="mine")) == "mine" != first
        with pytest.raises(Refused, match="mine"):
            await admin.add_fault(RequestFault(on="GET ping", name="mine"))
        assert (await admin.wait_for_fault("mine", within_s=0))["reached"] is False
        with pytest.raises(Missing):
            await admin.release_fault("nobody")
        gone = []

        async def wait() -> None:
            with pytest.raises(Missing):
                await admin.wait_for_fault("mine")
            gone.append(True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await admin.clear_faults("mine")
        assert gone == [True]
        assert [shown["name"] for shown in await admin.faults()] == [first]


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "faults"), ("POST", "faults"), ("DELETE", "faults"), ("GET", "faults/a"), ("DELETE", "faults/a"),
    ("POST", "faults/a/release"), ("POST", "clock"),
])  # fmt: skip
async def test_faults_are_shut_to_strangers(house: House, method: str, path: str) -> None:
    """Without the token no fault is shown, made or taken away."""
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{house.origin}/paper/{path}", json={"offset_ms": 1}) as answer,
    ):
        assert answer.status == 403
