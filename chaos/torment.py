"""What is done to a world, drawn from a seed: each tormentor goes on until it is cancelled.

The draws repeat exactly for a seed; the moments at which they meet the orders do not, and that is wanted.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from botwarden.errors import Unavailable
from botwarden.exchange.paper.faults import RequestFault
from chaos.steps import Blow, Step, Strike
from chaos.world import PAPER_EXCHANGE, RECEIVE_WINDOW_MS, Replica, World, until

#: A replica that does not reach its step is killed after this.
_PATIENCE_S = 12.0
#: Long enough that peers take the bots over and the exchange refuses whatever the sleeper still sends.
_FROZEN_S = (RECEIVE_WINDOW_MS / 1000 + 1, 9.0)

#: What is told of a request, and what has become of it, are two things.
_DECEITS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("executed, answer lost", "POST order", {"answer": "closed"}),
    ("executed, connection reset", "POST order", {"answer": "reset"}),
    ("executed, half an answer", "POST order", {"answer": "half"}),
    ("executed, called unknown", "POST order", {"answer": "error", "code": -1007}),
    ("executed, a page of the web server", "POST order", {"answer": "html", "status": 502}),
    ("executed, answer late", "POST order", {"waits": "after", "delay_s": 1.5}),
    ("executed late, called unknown", "POST order", {"answer": "error", "code": -1006, "executes": "late"}),
    ("not executed, connection lost", "POST order", {"answer": "closed", "executes": "no"}),
    ("not executed, called unknown", "POST order", {"answer": "error", "code": -1007, "executes": "no"}),
    ("request late", "POST order", {"waits": "before", "delay_s": 2.5}),
    ("refused", "POST order", {"answer": "error", "code": -2010, "executes": "no"}),
    ("too many orders", "POST order", {"answer": "error", "code": -1015, "executes": "no"}),
    ("clock off", "POST order", {"answer": "error", "code": -1021, "executes": "no"}),
    ("query fails", "GET order", {"answer": "error", "code": -1001, "executes": "no"}),
    ("query not answered", "GET order", {"answer": "closed", "executes": "no"}),
    ("trades fail", "GET myTrades", {"answer": "error", "code": -1000, "executes": "no"}),
    ("nothing answers", "* *", {"answer": "html", "status": 503, "executes": "no"}),
)


@dataclass(slots=True)
class Toll:
    """What was done, by kind."""

    kills: int = 0
    freezes: int = 0
    #: How often each step was struck.
    steps: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


async def hit_replica(replica: Replica, toll: Toll, rng: random.Random) -> None:
    """Kill or freeze one replica again and again: at random moments, and at each step of the protocol."""
    while True:
        strike = _drawn_strike(rng)
        replica.start(strike)
        patience_s = _PATIENCE_S if strike else rng.uniform(2.0, _PATIENCE_S)
        if await until(_is_struck(replica), within_s=patience_s) and strike is not None:
            toll.steps[f"{strike.step} {strike.blow}"] += 1
            if strike.blow is Blow.FREEZE:
                toll.freezes += 1
                await anyio.sleep(rng.uniform(*_FROZEN_S))
                replica.thaw()
                await anyio.sleep(rng.uniform(0.5, 3.0))
        elif rng.random() < 0.3:
            toll.freezes += 1
            replica.freeze()
            await anyio.sleep(rng.uniform(*_FROZEN_S))
            replica.thaw()
            await anyio.sleep(rng.uniform(0.5, 3.0))
        replica.kill()
        toll.kills += 1
        await anyio.sleep(rng.uniform(0.0, 1.0))


async def hit_services(world: World, toll: Toll, rng: random.Random) -> None:
    """Kill PostgreSQL, Valkey and the paper exchange now and then."""
    while True:
        await anyio.sleep(rng.uniform(8.0, 25.0))
        name = rng.choice(["postgresql", "valkey", PAPER_EXCHANGE])
        world.kill_service(name)
        toll.services[name] += 1


async def deceive(world: World, toll: Toll, rng: random.Random) -> None:
    """Let requests to the exchange fail for some seconds, in one way after the other."""
    while True:
        await anyio.sleep(rng.uniform(1.0, 5.0))
        name, request, outcome = rng.choice(_DECEITS)
        fault = RequestFault(
            on=request,
            times=None,
            probability=rng.uniform(0.2, 0.8),
            seed=rng.getrandbits(31),
            for_s=rng.uniform(1.0, 6.0),
            **outcome,
        )
        try:
            await world.paper_admin.add_fault(fault)
        except Unavailable:
            continue  # It has just been killed.
        toll.faults[name] += 1


def _drawn_strike(rng: random.Random) -> Strike | None:
    """Draw where the next process shall be struck; sometimes anywhere."""
    if rng.random() < 0.25:
        return None
    blow = Blow.FREEZE if rng.random() < 0.25 else Blow.KILL
    return Strike(rng.choice(list(Step)), rng.randint(1, 6), blow)


def _is_struck(replica: Replica) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return replica.is_struck

    return look
