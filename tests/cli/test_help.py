"""Help is complete, short, and there at once."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from botwarden import __version__
from botwarden.cli import settings
from botwarden.cli.main import COMMANDS, group
from botwarden.errors import Unavailable

#: Whatever takes long to import; none of it is needed to answer.
HEAVY = (
    "asyncpg",
    "sqlalchemy",
    "redis",
    "binance",
    "litestar",
    "aiohttp",
    "alembic",
    "rich",
    "anyio",
    "structlog",
)


def test_help_lists_every_command():
    """Each with one line of what it does."""
    answer = CliRunner().invoke(group, ["--help"])
    assert answer.exit_code == 0
    for name, (_, what) in COMMANDS.items():
        assert f"  {name} " in answer.output
        assert what in answer.output
    assert all(len(line) <= 100 for line in answer.output.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_of_its_own(name):
    """Short, with every option explained."""
    answer = CliRunner().invoke(group, [name, "--help"])
    assert answer.exit_code == 0, answer.output
    assert len(answer.output.splitlines()) < 60


def test_help_imports_no_command():
    """Asking for help or the version loads nothing heavy."""
    program = (
        "import sys\n"
        "from botwarden.cli.main import group\n"
        "group(['--help'], standalone_mode=False)\n"
        "loaded = [name for name in sys.modules if name.startswith('botwarden.')]\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "print('LOADED', *sorted(loaded), *heavy)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "LOADED botwarden.cli botwarden.cli.main botwarden.errors"


def test_an_unknown_command_is_refused():
    """With the way to the help."""
    answer = CliRunner().invoke(group, ["fly"])
    assert answer.exit_code == 2
    assert "No such command 'fly'" in answer.output


def test_the_version_is_the_package_s():
    """One number everywhere."""
    assert __version__ in CliRunner().invoke(group, ["--version"]).output


def test_the_module_runs_like_the_script():
    """`python -m botwarden` is the same program, by the same name."""
    told = subprocess.run(
        [sys.executable, "-m", "botwarden", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("Usage: botwarden [OPTIONS]")


def test_a_failure_among_several_tasks_is_one_message(monkeypatch):
    """An expected failure is a sentence, also when a task group wraps it; a bug stays a traceback."""

    def fail(**_: object) -> None:
        raise BaseExceptionGroup("tasks", [ExceptionGroup("more", [Unavailable("the exchange is away")])])

    # No command fails so on request; how the group words it is what is tested.
    monkeypatch.setattr(settings.command, "callback", fail)
    told = CliRunner().invoke(group, ["settings"])
    assert (told.exit_code, told.output) == (1, "Error: the exchange is away\n")
