"""`botwarden settings`: what can be set, what is set, and by whom."""

import json
import os
from pathlib import Path
from typing import Any

import click

from botwarden.settings import SETTINGS, Setting, Settings, masked, unknown_variables


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Data directory of the `up` to ask about.")
def command(as_json: bool, data_dir: Path | None) -> None:
    """List every setting: its meaning, default, present value and where that came from.

    Secrets are masked. A value comes from the command line, the environment, a running `up`, or the default.
    """
    settings = Settings.from_environment(data_dir=data_dir)
    for line in unknown_variables(os.environ):
        click.echo(f"Warning: {line}", err=True)
    listed = [_listed(setting, settings) for setting in SETTINGS]
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    for entry in listed:
        click.echo(
            f"{click.style(entry['variable'], bold=True)}={_words(entry['value'])}  ({entry['source']})"
        )
        click.echo(f"    {entry['meaning']} Default: {_words(entry['default']) or 'none'}.")


def _listed(setting: Setting, settings: Settings) -> dict[str, Any]:
    default = setting.default(os.environ) if callable(setting.default) else setting.default
    return {
        "name": setting.name,
        "variable": setting.variable,
        "value": _plain(settings.shown(setting.name)),
        "default": masked(default) if setting.secret else _plain(default),
        "source": str(settings.sources[setting.name]),
        "meaning": setting.meaning,
        "secret": setting.secret,
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _words(value: Any) -> str:
    """Return a value as it would be written into the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
