"""`botwarden users`: who may come in."""

import asyncio
from typing import Any

import click

from botwarden.persistence.database import Database
from botwarden.persistence.passwords import hash_password
from botwarden.persistence.users import create_user, find_user_by_email, list_users, set_disabled
from botwarden.settings import Settings


@click.group()
def command() -> None:
    """List, make and disable users; the first administrator is made here."""


@command.command("list")
def list_all() -> None:
    """List every user."""
    for user in asyncio.run(_with_database(list_users)):
        disabled = " (disabled)" if user.is_disabled else ""
        click.echo(f"{user.id:>6}  {user.email}  {user.role}{disabled}")


@command.command()
@click.argument("email")
@click.option("--admin", is_flag=True, help="Make an administrator.")
@click.password_option(help="Asked for when it is not given.")
def add(email: str, *, admin: bool, password: str) -> None:
    """Make a user."""

    async def make(tx: Any) -> Any:
        hashed = await hash_password(password)
        return await create_user(tx, email.strip().lower(), hashed, "admin" if admin else "user")

    user = asyncio.run(_with_database(make))
    click.echo(f"Made user {user.id}: {user.email}, {user.role}.")


@command.command()
@click.argument("email")
def disable(email: str) -> None:
    """Disable a user; every token of theirs is dead from then on."""

    async def turn_off(tx: Any) -> None:
        user = await find_user_by_email(tx, email.strip().lower())
        if user is None:
            raise click.ClickException(f"There is no user {email}.")
        await set_disabled(tx, user.id, is_disabled=True)

    asyncio.run(_with_database(turn_off))
    click.echo(f"{email} is disabled.")


async def _with_database(work: Any) -> Any:
    settings = Settings.from_environment()
    if not settings.database_url:
        raise click.ClickException("There is no database: run `botwarden up`, or set BOTWARDEN_DATABASE_URL.")
    database = Database.connect(settings.database_url, pool_size=2)
    try:
        async with database.begin() as tx:
            return await work(tx)
    finally:
        await database.close()
