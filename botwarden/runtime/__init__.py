"""The actor kernel: knows no bot, no SQL, no HTTP. Begin with `actor.py`."""

from botwarden.runtime.actor import Actor, Next
from botwarden.runtime.context import Context
from botwarden.runtime.inbox import InboxSpec
from botwarden.runtime.kernel import StrayCancellationError
from botwarden.runtime.ref import ActorStopped, AskTimeout, InboxFull, Ref, Reply
from botwarden.runtime.supervision import Backoff, ChildGaveUp, ChildSpec, Intensity, Restart, Terminated
from botwarden.runtime.system import System
from botwarden.runtime.timing import Alarm, Clock, SystemClock, TimerKey
from botwarden.runtime.view import ActorView

__all__ = [
    "Actor",
    "ActorStopped",
    "ActorView",
    "Alarm",
    "AskTimeout",
    "Backoff",
    "ChildGaveUp",
    "ChildSpec",
    "Clock",
    "Context",
    "InboxFull",
    "InboxSpec",
    "Intensity",
    "Next",
    "Ref",
    "Reply",
    "Restart",
    "StrayCancellationError",
    "System",
    "SystemClock",
    "Terminated",
    "TimerKey",
]
