"""The group of all commands: `botwarden COMMAND`.

The invariant: help and typing mistakes are answered at once. A command's module, and all that it drags in, is
imported only when that command runs.
"""

from importlib import import_module
from typing import Any

import click

from botwarden import __version__
from botwarden.errors import BotwardenError

#: Name, module in this package, and what it does, in the order of the help.
COMMANDS = {
    "up": ("up", "Run everything on this machine, with servers of its own."),
    "demo": ("demo", "Create bots against a running `up` and follow them live."),
    "serve": ("serve", "Run one replica over your PostgreSQL and Redis."),
    "migrate": ("migrate", "Bring the database schema to head."),
    "paper-exchange": ("paper_exchange", "Run only the paper exchange."),
    "verify-ledger": ("verify_ledger", "Hold the books against the exchange's own records."),
    "users": ("users", "List, make and disable users."),
    "settings": ("settings", "List every setting, its meaning, value and source."),
}


#: As shells say it: ended by SIGINT.
_INTERRUPTED = 128 + 2


class LazyGroup(click.Group):
    """Knows its commands by name, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = import_module(f"botwarden.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an expected failure is one message, not a traceback, and Ctrl-C needs none."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(_INTERRUPTED) from None
        except BotwardenError as error:
            raise click.ClickException(str(error)) from error
        except BaseExceptionGroup as group:
            expected, others = group.split(BotwardenError)
            if others is not None:
                raise
            raise click.ClickException(_first(expected)) from group


def _first(group: BaseExceptionGroup[BaseException] | None) -> str:
    """Return the first failure among those that several tasks met."""
    failure: BaseException | None = group
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return str(failure)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`botwarden COMMAND --help` tells more of each.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """Keep trading bots alive: a runtime, its API and its tools.

    Start with `botwarden up`: it needs nothing else.
    """
