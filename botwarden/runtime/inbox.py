"""Where messages wait for an actor.

An inbox is bounded and never blocks the sender: what does not fit is refused, and messages that share a
key are conflated, so that a slow actor finds the newest price and not a thousand old ones. The invariant:
what was accepted leaves in the order of its arrival, and only once.
"""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import msgspec

M_contra = TypeVar("M_contra", contravariant=True)


class InboxSpec(msgspec.Struct, Generic[M_contra], frozen=True):
    """How much may wait, and what happens to the rest."""

    #: Messages of senders beyond this many are refused; the actor's own timers always find room.
    capacity: int = 1000
    #: Messages with the same key are conflated: the newest takes the place of the one that waits.
    #: None, or a key of None, conflates nothing.
    newest_per: Callable[[M_contra], Hashable | None] | None = None

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError("an inbox holds at least one message")


class Envelope:
    """A message with something to it; the kernel opens it on the way out."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message


class Kept(Envelope):
    """A conflated message; its text changes while it waits."""

    __slots__ = ("key",)

    def __init__(self, key: Hashable, message: Any) -> None:
        super().__init__(message)
        self.key = key


class Inbox:
    """The mail of one actor. Costs a few words while it is empty."""

    __slots__ = ("_kept", "_spec", "_waiting", "is_open")

    def __init__(self, spec: InboxSpec[Any]) -> None:
        self._spec = spec
        self._waiting: deque[Any] | None = None
        self._kept: dict[Hashable, Kept] | None = None
        #: A closed inbox refuses everything, for ever.
        self.is_open = True

    def __len__(self) -> int:
        return len(self._waiting) if self._waiting else 0

    def offer(self, message: Any) -> bool:
        """Accept the message, or return False: full or closed."""
        if not self.is_open:
            return False
        waiting = self._waiting
        if waiting is None:
            waiting = self._waiting = deque()
        newest_per = self._spec.newest_per
        if newest_per is not None and not isinstance(message, Envelope):
            key = newest_per(message)
            if key is not None:
                return self._keep_newest(key, message)
        if len(waiting) >= self._spec.capacity:
            return False
        waiting.append(message)
        return True

    def put(self, envelope: Envelope) -> None:
        """Accept the envelope although the inbox may be full; a closed inbox drops it."""
        if self.is_open:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(envelope)

    def take(self) -> Any:
        """Return what has waited longest. The inbox must not be empty."""
        assert self._waiting, "nobody takes from an empty inbox"  # noqa: S101 - for the type checker
        mail = self._waiting.popleft()
        if isinstance(mail, Kept):
            assert self._kept is not None, "what is kept is listed"  # noqa: S101 - for the type checker
            del self._kept[mail.key]
            return mail.message
        return mail

    def rest(self) -> None:
        """Give back what an empty inbox does not need."""
        self._waiting = None
        self._kept = None

    def close(self) -> list[Any]:
        """Refuse everything from now on; return what waited, oldest first."""
        self.is_open = False
        lost = list(self._waiting or ())
        self.rest()
        return lost

    def _keep_newest(self, key: Hashable, message: Any) -> bool:
        if self._kept is None:
            self._kept = {}
        kept = self._kept.get(key)
        if kept is not None:
            kept.message = message
            return True
        if len(self) >= self._spec.capacity:
            return False
        kept = self._kept[key] = Kept(key, message)
        self.put(kept)
        return True
