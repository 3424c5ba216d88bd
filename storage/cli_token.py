"""`amr token create|revoke|list`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from storage import tokens
from storage.cli_words import connection, console, moment, parsed, run, say

token = typer.Typer(no_args_is_help=True, help="Access tokens of the HTTP API.")

notes = Console(stderr=True)


@token.command("create")
def create_token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    role: Annotated[str, typer.Option(help=f"One of {', '.join(tokens.ROLES)}.")],
    consumer: Annotated[str | None, typer.Option(help="Whose points a consumer's token shows.")] = None,
    expires: Annotated[str | None, typer.Option(help="Like 90d, 2027-01-01 (UTC) or 2027-01-01T00:00+03:00.")] = None,
) -> None:
    """Make a token and print it: it cannot be shown again."""
    expires_at = None if expires is None else _expiry(expires)

    async def work() -> None:
        async with connection(context.obj) as conn:
            text = await tokens.create(conn, name, role, consumer=consumer, expires_at=expires_at)
        typer.echo(text)
        notes.print("keep it: only its hash is stored", highlight=False)

    run(work())


@token.command("revoke")
def revoke_token(context: typer.Context, name: Annotated[str, typer.Argument(help="As it was created.")]) -> None:
    """Put a token out of force."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            await tokens.revoke(conn, name)
        say(f"token {name} is revoked")

    run(work())


@token.command("list")
def list_tokens(context: typer.Context) -> None:
    """Every token: its name, role and dates, never itself."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            found = await tokens.every(conn)
        table = Table("name", "role", "consumer", "created", "expires", "revoked", box=None)
        for one in found:
            dates = (moment(one.created_at), moment(one.expires_at), moment(one.revoked_at))
            table.add_row(one.name, one.role, one.consumer, *dates)
        console.print(table)

    run(work())


def _expiry(text: str) -> datetime:
    if match := re.fullmatch(r"(\d{1,5})d", text, re.ASCII):
        return datetime.now(UTC) + timedelta(days=int(match[1]))
    return parsed("expires", text, ZoneInfo("UTC"))
