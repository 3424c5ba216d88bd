"""What the verbs of lines and meters share: the options that say where a line is, and where they print."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from collectors.catalog import Catalog, load_catalog
from collectors.line_settings import MODBUS_KINDS, is_device
from ingest.errors import AmrError, Misconfigured
from ingest.model import Line

_Result = TypeVar("_Result")
_WITH_PORT = re.compile(r"(\[.*\]|[^:]*):\d+", re.ASCII)

console = Console(markup=False, emoji=False)  # what meters and people wrote is no markup of ours
errors = Console(markup=False, emoji=False, stderr=True)

Own = Annotated[
    Path | None, typer.Option("--catalog", envvar="AMR_CATALOG", help="Folder with model files of your own.")
]
Address = Annotated[str | None, typer.Option(help="host:port, or the serial port's device.")]
Kind = Annotated[
    str | None,
    typer.Option(
        help=f"One of {', '.join(MODBUS_KINDS)}. Left out: modbus-tcp at host:port, modbus-rtu at a port's device."
    ),
]
Baud = Annotated[int | None, typer.Option(help="Speed of a serial line; left out, 9600.")]
Parity = Annotated[str | None, typer.Option(help="N, E or O; left out, N.")]


@dataclass(frozen=True, slots=True)
class Given:
    """A line as the options describe it: what was left out is None, or not among `options`."""

    address: str | None
    kind: str | None
    options: Mapping[str, object]

    @property
    def line(self) -> Line:
        """What was left out is as a line at such an address has it. Misconfigured without an address."""
        if self.address is None:
            raise Misconfigured(
                "say which line: --address host:port or a device, or --line with the name of a stored one"
            )
        kind = self.kind or ("modbus-rtu" if is_device(self.address) else "modbus-tcp")
        return Line("of the command line", kind, self.address, self.options)

    @property
    def stored_as(self) -> str | None:
        """The address as a line of the fleet has it: never without its port."""
        if self.address is None or is_device(self.address) or _WITH_PORT.fullmatch(self.address):
            return self.address
        return f"{self.address}:502"

    def over(self, stored: Line) -> Line:
        """What was left out is as the line is stored."""
        return replace(stored, kind=self.kind or stored.kind, options={**stored.options, **self.options})


def given_line(address: str | None, kind: str | None, **options: object) -> Given:
    """The line the options describe. N, E and O may be written small."""
    parity = options.get("parity")
    said = {**options, "parity": parity.upper() if isinstance(parity, str) else None}
    return Given(address, kind, {key: one for key, one in said.items() if one is not None})


def load(own: Path | None) -> Catalog:
    """The catalogue, or the end with what is wrong with it."""
    try:
        return load_catalog(own)
    except AmrError as error:
        raise fail(error) from error


def say(text: str) -> None:
    """A line of the answer, as it is."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def fail(error: Exception, tip: str | None = None) -> typer.Exit:
    """Say what is wrong, and perhaps what to try next; and end with code 1."""
    errors.print(str(error), soft_wrap=True, highlight=False, markup=False)
    if tip is not None:
        errors.print(f"What to try: {tip}", soft_wrap=True, highlight=False, markup=False)
    return typer.Exit(1)


def run_to_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run it; SIGTERM and a terminal that goes away end it as Ctrl-C does: whatever was begun is left in order."""

    async def ended_by_signals() -> _Result:
        task = asyncio.current_task()
        assert task is not None
        for name in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(name) is signal.SIG_DFL:  # not under nohup
                asyncio.get_running_loop().add_signal_handler(name, task.cancel)
        return await work

    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    try:
        return asyncio.run(ended_by_signals())
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
