"""`simulate STREET.toml`: a street of simulated meters to poll and to listen to, until Ctrl-C."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from simulators.clock import Clock
from simulators.mqtt import broker_address
from simulators.street import RunningStreet, Street
from simulators.street_fleet import street_text
from simulators.table import StreetFileError, duration

app = typer.Typer(no_args_is_help=True, add_completion=False)
_console = Console()
_Built = TypeVar("_Built")


@app.command()
def simulate(
    street: Annotated[Path | None, typer.Argument(help="Description of the street; left out, the demo's own.")] = None,
    speed: Annotated[float, typer.Option(help="Simulated seconds per real second.")] = 1.0,
    start: Annotated[str, typer.Option(help="ISO time with offset to start at; left out, now.")] = "",
    mqtt_url: Annotated[str, typer.Option(help="Broker for the gateways; left out, they publish nothing.")] = "",
    every: Annotated[str, typer.Option(help="How often gateways publish, in simulated time.")] = "30s",
    fleet: Annotated[
        Path | None, typer.Option(help="Write the fleet file of the running street here, for `amr fleet apply`.")
    ] = None,
    period: Annotated[str, typer.Option(help="How often that fleet is polled, like 30m or 1h.")] = "30m",
) -> None:
    """Run a street of simulated meters until Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if mqtt_url:
        _checked("--mqtt-url", lambda: broker_address(mqtt_url))
    described = _checked("STREET", lambda: Street.read(street) if street else Street.shipped())
    began = _checked("--start", lambda: _instant(start)) if start else None
    clock = _checked("--speed", lambda: Clock(began, speed))
    pause = _checked("--every", lambda: duration(every))
    _checked("--period", lambda: duration(period))
    try:
        _fastest_run(_run(described, clock, mqtt_url or None, pause, None if fleet is None else (fleet, period)))
    except StreetFileError as error:
        raise typer.BadParameter(str(error)) from error


def _checked(option: str, build: Callable[[], _Built]) -> _Built:
    """What `build` makes; its complaint gets the option's name."""
    try:
        return build()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write it like 2026-11-20T00:00:00+04:00") from None
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; add its offset, such as +04:00")
    return at


def _fastest_run(main: Coroutine[Any, Any, None]) -> None:
    """uvloop answers three times as many requests a second; it does not exist for Windows."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _run(
    street: Street, clock: Clock, mqtt_url: str | None, every: timedelta, fleet: tuple[Path, str] | None
) -> None:
    over = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends asyncio.run there
            asyncio.get_running_loop().add_signal_handler(name, over.set)
    async with street.start(clock, mqtt_url=mqtt_url, every=every) as running:
        if fleet is not None:
            _write_fleet(running, *fleet)
        _show(running, mqtt_url, every)
        await over.wait()


def _write_fleet(running: RunningStreet, file: Path, period: str) -> None:
    text = street_text(running.spec, running.clock.now(), period=period, addresses=running.addresses())
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StreetFileError(f"fleet file {file} cannot be written: {error.strerror}; give another path") from error
    _console.print(f"its fleet: amr fleet apply {file}", markup=False, highlight=False, soft_wrap=True)


def _show(running: RunningStreet, mqtt_url: str | None, every: timedelta) -> None:
    table = Table(title=f"{len(running.meters)} meters, time runs ×{running.clock.factor:g}")
    for heading in ("where", "address", "meters"):
        table.add_column(heading)
    addresses = running.addresses()
    for line in running.spec.lines:
        hanging = [one for one in running.spec.meters if one.line == line.name]
        table.add_row(f"{line.kind} {line.name}", addresses[line.name], str(len(hanging)))
    for name, gateway in running.gateways.items():
        table.add_row(f"gateway {name}", f"{mqtt_url}, every {every}", str(len(gateway.meters)))
    _console.print(table)
    _console.print("Ctrl-C ends it.")
