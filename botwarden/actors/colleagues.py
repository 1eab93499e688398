"""The references that a bot's actor talks to."""

from dataclasses import dataclass

from botwarden.actors.announcer import Announce
from botwarden.actors.committer import Commit
from botwarden.actors.desk_mail import DeskMessage
from botwarden.actors.feed_mail import FeedMessage
from botwarden.actors.progress import ProgressMessage
from botwarden.actors.row_reader import Read
from botwarden.runtime import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleagues:
    """One of each on a replica, shared by all its bots."""

    committer: Ref[Commit]
    reader: Ref[Read]
    announcer: Ref[Announce]
    desks: Ref[DeskMessage]
    feeds: Ref[FeedMessage]
    progress: Ref[ProgressMessage]
