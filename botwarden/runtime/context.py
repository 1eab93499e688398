"""What an actor may ask of the kernel. The invariant: only the actor itself ever holds it."""

from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botwarden.runtime.ref import Ref
from botwarden.runtime.supervision import ChildSpec
from botwarden.runtime.timing import Clock, TimerKey

if TYPE_CHECKING:
    from botwarden.runtime.cell import Cell
    from botwarden.runtime.life import Life

M_contra = TypeVar("M_contra", contravariant=True)
C = TypeVar("C")


class Context(Generic[M_contra]):
    """An actor's view of itself and of those below it, for one life."""

    __slots__ = ("_cell", "_life", "_random")

    def __init__(self, cell: "Cell", life: "Life") -> None:
        self._cell = cell
        self._life = life
        self._random: Random | None = None

    @property
    def ref(self) -> Ref[M_contra]:
        """The actor's own address."""
        return self._cell.ref

    @property
    def name(self) -> str:
        """The actor's name among its siblings."""
        return self._cell.spec.name

    @property
    def clock(self) -> Clock:
        """The clock of the system."""
        return self._cell.kernel.clock

    @property
    def random(self) -> Random:
        """The actor's own chance: it follows from the system's seed, the actor's path and its restarts."""
        if self._random is None:
            self._random = self._cell.kernel.random_for(f"{self._cell.path}:{self._cell.restarts}")
        return self._random

    async def spawn(self, spec: ChildSpec[C]) -> Ref[C]:
        """Start a child; return when its `started` has finished (at once if `spec.wait` is false).

        Raises:
            ValueError: a living child has this name.
            ActorStopped: the actor, or the child, is being stopped.
            Exception: whatever the child's first start raised, if `spec.wait`; the child is gone then.
        """
        return await self._life.household.spawn(spec)

    def has_child(self, name: str) -> bool:
        """Return whether a child of this name lives, a stopping one included."""
        return name in self._life.household.children

    async def stop_child(self, ref: Ref[Any]) -> None:
        """Stop a child in order, and return when it and all below it have ended.

        Raises:
            ValueError: it is somebody else's child.
        """
        await self._life.household.stop_children([ref])

    async def stop_children(self, refs: Iterable[Ref[Any]]) -> None:
        """Stop several children, all at once, and return when they have ended.

        Raises:
            ValueError: one of them is somebody else's child; none was stopped.
        """
        await self._life.household.stop_children(refs)

    def watch(self, ref: Ref[Any]) -> None:
        """Have `terminated` called when that actor stops for good, or now if it has. A restart forgets it."""
        self._life.watch(ref.cell)

    def start_timer(self, key: TimerKey, message: M_contra, *, after_s: float) -> None:
        """Receive the message once, later. It replaces the timer or interval with the same key."""
        self._life.timers.start(key, message, after_s, repeats=False)

    def start_interval(self, key: TimerKey, message: M_contra, *, every_s: float) -> None:
        """Receive the message again and again; a beat is skipped while the one before still waits."""
        self._life.timers.start(key, message, every_s, repeats=True)

    def cancel_timer(self, key: TimerKey) -> None:
        """Never receive that timer's message again, also if it waits in the inbox already."""
        self._life.timers.cancel(key)

    def start_duty(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run something beside the messages, in a task of its own, until it ends or the actor does.

        Its crash is the actor's crash, at the end of the message at hand.

        Raises:
            ValueError: a duty of this name is running.
        """
        self._life.household.start_duty(name, run)
