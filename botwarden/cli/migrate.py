"""`botwarden migrate`: the schema brought to head."""

import asyncio
from typing import Any

import click

from botwarden.persistence.migrate import head, upgrade
from botwarden.persistence.reach import place, saying_which
from botwarden.settings import Settings


@click.command()
@click.option("--database-url", help="The database; otherwise BOTWARDEN_DATABASE_URL.")
def command(**words: Any) -> None:
    """Bring the database schema to head.

    Safe to repeat and to run from several places at once; a failure changes nothing.
    """
    settings = Settings.from_environment(**words)
    url = settings.database_direct_url or settings.database_url
    if words["database_url"]:
        url = settings.database_url
    if not url:
        raise click.UsageError("There is no database: set BOTWARDEN_DATABASE_URL, or pass --database-url.")
    click.echo(f"The {place(url)}:")
    with saying_which(url):
        asyncio.run(upgrade(url, lambda step: click.echo(f"  {step}")))
    click.echo(f"The schema is at head ({head()}).")
