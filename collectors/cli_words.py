"""What the verbs of lines and meters share: the options that say where a line is, and where they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collectors.catalog import Catalog, load_catalog
from collectors.line_settings import MODBUS_KINDS
from ingest.errors import AmrError
from ingest.model import Line

console = Console(markup=False, emoji=False)  # what meters and people wrote is no markup of ours
errors = Console(markup=False, emoji=False, stderr=True)

Own = Annotated[
    Path | None, typer.Option("--catalog", envvar="AMR_CATALOG", help="Folder with model files of your own.")
]
Address = Annotated[str | None, typer.Option(help="host:port, or the serial port's device.")]
Kind = Annotated[str, typer.Option(help=f"One of {', '.join(MODBUS_KINDS)}.")]
Baud = Annotated[int | None, typer.Option(help="Speed of a serial line; left out, 9600.")]
Parity = Annotated[str | None, typer.Option(help="N, E or O; left out, N.")]


def line_of(address: str, kind: str, **options: object) -> Line:
    """The line the options describe; those left out are as a line of that kind has them."""
    return Line("of the command line", kind, address, {key: one for key, one in options.items() if one is not None})


def load(own: Path | None) -> Catalog:
    """The catalogue, or the end with what is wrong with it."""
    try:
        return load_catalog(own)
    except AmrError as error:
        raise fail(error) from error


def say(text: str) -> None:
    """A line of the answer, as it is."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def fail(error: Exception) -> typer.Exit:
    """Say what is wrong and end with code 1."""
    errors.print(str(error), soft_wrap=True, highlight=False, markup=False)
    return typer.Exit(1)
