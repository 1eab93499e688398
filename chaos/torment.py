"""What is done to a world, drawn from a seed: each tormentor goes on until it is cancelled.

The draws repeat exactly for a seed; the moments at which they meet the orders do not, and that is wanted.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import msgspec

from botwarden.errors import Unavailable
from botwarden.exchange.paper.fault_events import ConnectionFault, StreamFault
from botwarden.exchange.paper.faults import RequestFault
from chaos.steps import Blow, Step, Strike
from chaos.world import PAPER_EXCHANGE, RECEIVE_WINDOW_MS, Replica, World, until

#: A replica that does not reach its step is killed after this.
_PATIENCE_S = 12.0
#: Long enough that peers take the bots over and the exchange refuses whatever the sleeper still sends.
_FROZEN_S = (RECEIVE_WINDOW_MS / 1000 + 1, 9.0)

#: What is told of a request, and what has become of it, are two things.
_DECEITS: tuple[tuple[str, RequestFault], ...] = (
    ("executed, answer lost", RequestFault(on="POST order", answer="closed")),
    ("executed, connection reset", RequestFault(on="POST order", answer="reset")),
    ("executed, half an answer", RequestFault(on="POST order", answer="half")),
    ("executed, called unknown", RequestFault(on="POST order", answer="error", code=-1007)),
    ("executed, a page of the web server", RequestFault(on="POST order", answer="html", status=502)),
    ("executed, answer late", RequestFault(on="POST order", waits="after", delay_s=1.5)),
    (
        "executed late, called unknown",
        RequestFault(on="POST order", answer="error", code=-1006, executes="late"),
    ),
    ("not executed, connection lost", RequestFault(on="POST order", answer="closed", executes="no")),
    (
        "not executed, called unknown",
        RequestFault(on="POST order", answer="error", code=-1007, executes="no"),
    ),
    ("request late", RequestFault(on="POST order", waits="before", delay_s=2.5)),
    ("refused", RequestFault(on="POST order", answer="error", code=-2010, executes="no")),
    ("too many orders", RequestFault(on="POST order", answer="error", code=-1015, executes="no")),
    ("clock off", RequestFault(on="POST order", answer="error", code=-1021, executes="no")),
    ("query fails", RequestFault(on="GET order", answer="error", code=-1001, executes="no")),
    ("query not answered", RequestFault(on="GET order", answer="closed", executes="no")),
    ("trades fail", RequestFault(on="GET myTrades", answer="error", code=-1000, executes="no")),
    ("nothing answers", RequestFault(on="* *", answer="html", status=503, executes="no")),
)

#: What is told of orders besides, on user data streams.
_NEWS = "userData"
_RUMOURS: tuple[tuple[str, StreamFault | ConnectionFault], ...] = (
    ("news lost", StreamFault(on=_NEWS, effect="drop")),
    ("news told twice", StreamFault(on=_NEWS, effect="twice")),
    ("news late", StreamFault(on=_NEWS, effect="late", delay_s=2.0)),
    ("news unreadable", StreamFault(on=_NEWS, effect="replace", message="{")),
    ("news cut off", StreamFault(on=_NEWS, effect="reset")),
    ("news falls silent", StreamFault(on=_NEWS, effect="deaf")),
    ("no news", ConnectionFault(on="/ws-api/*", effect="closed")),
)

_ALL: tuple[tuple[str, RequestFault | StreamFault | ConnectionFault], ...] = (*_DECEITS, *_RUMOURS)


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
    """Let requests to the exchange, and what it tells, fail for some seconds, in one way after the other."""
    while True:
        await anyio.sleep(rng.uniform(1.0, 5.0))
        name, kind = rng.choice(_ALL)
        fault = msgspec.structs.replace(
            kind,
            times=None,
            probability=rng.uniform(0.2, 0.8),
            seed=rng.getrandbits(31),
            for_s=rng.uniform(1.0, 6.0),
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
