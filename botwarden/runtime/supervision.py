"""The rules of supervision, apart from the machinery that obeys them: pure data and arithmetic.

Each child is supervised by itself (one for one). A crash costs a growing pause; too many crashes within a
span of time, and the child is given up and its parent told. The invariant: within any span of
`Intensity.within_s` a child is restarted at most `Intensity.restarts` times.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import msgspec

from botwarden.runtime.inbox import InboxSpec
from botwarden.runtime.ref import Ref

if TYPE_CHECKING:
    from botwarden.runtime.actor import Actor

M_contra = TypeVar("M_contra", contravariant=True)


class Phase(Enum):
    """Where a child is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    #: Between a crash and the next start.
    RESTING = "resting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Restart(Enum):
    """When a child that has ended is started again."""

    #: Always, also after it stopped by itself.
    PERMANENT = "permanent"
    #: After a crash only.
    TRANSIENT = "transient"
    #: Never.
    TEMPORARY = "temporary"


class Intensity(msgspec.Struct, frozen=True):
    """How many restarts within how long are too few to give up."""

    restarts: int = 5
    within_s: float = 60.0


class Backoff(msgspec.Struct, frozen=True):
    """How long a child rests before it is started again: doubling, up to a longest pause."""

    first_s: float = 0.5
    longest_s: float = 30.0
    #: Each pause is up to this share shorter or longer, so that a herd does not return at once.
    jitter: float = 0.2

    def pause_s(self, streak: int, random: Random) -> float:
        """Return the pause after the `streak`-th crash in a row; the first is 1."""
        doubled = self.first_s * 2.0 ** min(streak - 1, 60)
        return min(doubled, self.longest_s) * (1 + self.jitter * random.uniform(-1, 1))


class ChildSpec(msgspec.Struct, Generic[M_contra], frozen=True):
    """All that a parent decides about a child."""

    #: Unique among living siblings.
    name: str
    #: Makes a fresh object for each life.
    start: "Callable[[], Actor[M_contra]]"
    restart: Restart = Restart.PERMANENT
    intensity: Intensity = Intensity()
    backoff: Backoff = Backoff()
    #: An orderly stop that takes longer is cut off: the child and all below it are cancelled.
    stop_within_s: float = 5.0
    inbox: InboxSpec[M_contra] = InboxSpec()
    #: True: spawning returns when `started` has finished and raises what the first start raised.
    #: False: spawning returns at once, and a first start that fails is a crash like any other.
    wait: bool = True


class Record:
    """What a parent remembers of a child that has crashed before."""

    __slots__ = ("_restarted_at", "_running_since", "_streak", "total")

    def __init__(self) -> None:
        self._restarted_at: deque[float] = deque()
        self._running_since: float | None = None
        self._streak = 0
        #: Restarts since the child was spawned.
        self.total = 0

    def note_start(self, now_s: float) -> None:
        """Remember that the child is running again."""
        self._running_since = now_s

    def next_pause(self, spec: ChildSpec[Any], now_s: float, random: Random) -> float | None:
        """Return how long to wait before the next start; None: give the child up.

        A child that ran for `longest_s` since its last crash begins a new streak with the first pause.
        """
        if self._running_since is not None and now_s - self._running_since >= spec.backoff.longest_s:
            self._streak = 0
        self._running_since = None
        while self._restarted_at and now_s - self._restarted_at[0] >= spec.intensity.within_s:
            self._restarted_at.popleft()
        if len(self._restarted_at) >= spec.intensity.restarts:
            return None
        self._restarted_at.append(now_s)
        self._streak += 1
        self.total += 1
        return spec.backoff.pause_s(self._streak, random)


class ChildGaveUp(Exception):  # noqa: N818 - a message first, an error only when a parent raises it
    """A child crashed more often than its intensity allows and was stopped for good."""

    def __init__(self, ref: Ref[Any], name: str, error: Exception, restarts: int) -> None:
        super().__init__(f"{name} gave up after {restarts} restarts: {error!r}")
        self.ref = ref
        self.name = name
        #: What the last life ended with.
        self.error = error
        #: How often it was restarted in all its lives.
        self.restarts = restarts
        self.__cause__ = error


class Terminated(msgspec.Struct, frozen=True):
    """A watched actor has stopped for good."""

    ref: Ref[Any]
    name: str
    #: What ended it; None after an orderly stop.
    error: Exception | None


class DutyFailed:
    """A duty of the present life has crashed."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


#: System messages: what the kernel tells an actor about others.
Signal: TypeAlias = Terminated | ChildGaveUp | DutyFailed
