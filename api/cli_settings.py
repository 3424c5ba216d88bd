"""`amr settings`: every AMR_* variable, what it means, and what this process would use. Secrets stay unseen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Row:
    """One variable: its default as text, and whether a value was given."""

    name: str
    meaning: str
    default: str
    value: str
    given: bool


def rows(settings: BaseSettings) -> Iterator[Row]:
    """Every variable in the order of the alphabet."""
    given = settings.model_fields_set
    for name, field in sorted(type(settings).model_fields.items()):
        value, meaning = _shown(getattr(settings, name)), field.description or ""
        yield Row(f"AMR_{name.upper()}", meaning, _default(field), value, name in given)


def _default(field: FieldInfo) -> str:
    return "found out" if field.default_factory else _shown(field.default)


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "***"
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings_verb(
    context: typer.Context,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the table of docs/configuration.md.")] = False,
) -> None:
    """Show every setting: what it means, its default, and what is set here."""
    found = list(rows(context.obj))
    if markdown:
        typer.echo("| variable | meaning | default |\n|---|---|---|")
        for row in found:
            typer.echo(f"| `{row.name}` | {row.meaning.replace('|', chr(92) + '|')} | {row.default} |")
        return
    table = Table("variable", "is", "default", "meaning", box=None)
    for row in found:
        style = "bold" if row.given else ""
        table.add_row(*(Text(cell, style) for cell in (row.name, row.value, row.default, row.meaning)))
    Console().print(table)
