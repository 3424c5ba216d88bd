"""`amr format …`: which payloads are understood, what a message would become and why the rest would not."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from collectors.broker import Broker
from collectors.cli_words import console, errors
from collectors.discovery import propose
from collectors.format_model import Format
from collectors.formats_in_use import Formats, presets, read_file
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.payload import Message, Parsed
from ingest.channel import unit_of
from ingest.errors import AmrError

app = typer.Typer(
    no_args_is_help=True, help="MQTT payload formats: what is understood, and whether a mapping is right."
)


@app.command("list")
def list_formats() -> None:
    """Every format that comes with this service; AMR_FORMATS names those in use."""
    table = Table("format", "topics", "what it is", box=None)
    for name, one in sorted(presets().items()):
        table.add_row(name, "\n".join(topic.text for topic in one.topics), one.about)
    console.print(table)


@app.command("show")
def show_format(file: Annotated[str, typer.Argument(metavar="FORMAT", help="A preset's name, or a file.")]) -> None:
    """One format: its source, topics and fields."""
    one = _load(file)
    console.print(f"{one.name}: {one.about}\nsource: {one.source}", soft_wrap=True, highlight=False)
    topics = ", ".join(f"{name} (QoS {qos})" for name, qos in Formats([one]).filters.items())
    console.print(f"subscribes to: {topics}", soft_wrap=True, highlight=False)
    table = Table("field", "when", "channel", "into", "times", box=None)
    for field in one.fields:
        channels = ", ".join(dict.fromkeys((*([field.channel] if field.channel else []), *field.channels)))
        when = ", ".join(f"{key}={value}" for key, value in field.when.items())
        unit = unit_of(field.channel or field.channels[0])
        table.add_row(".".join(field.path), when, channels, unit, f"{field.factor.normalize():f}")
    console.print(table)


@app.command("check")
def check_format(file: Annotated[str, typer.Argument(metavar="FORMAT", help="A preset's name, or a file.")]) -> None:
    """Read the samples in a format file and compare with what they must become."""
    one = _load(file)
    formats, wrong = Formats([one]), 0
    for sample in one.samples:
        parsed, _ = formats.read(Message(sample.topic, sample.payload, sample.received_at, sample.retained))
        got = (as_lines(parsed), tuple(reject.reason for reject in parsed.rejects))
        if got != (sample.readings, sample.rejects):
            wrong += 1
            console.print(f"{sample.topic}: wanted {sample.readings} {sample.rejects}, got {got[0]} {got[1]}")
    console.print(f"{len(one.samples) - wrong} of {len(one.samples)} samples are read as they must be")
    if wrong:
        raise typer.Exit(1)


@app.command("try")
def try_format(
    file: Annotated[str, typer.Argument(metavar="FORMAT", help="A preset's name, or a file.")],
    topic: Annotated[str, typer.Argument(help="The topic of the message.")],
    payload: Annotated[str, typer.Argument(help="The payload as text, or @FILE for the bytes of a file.")],
    retained: Annotated[bool, typer.Option("--retained", help="As the broker hands it to a new subscriber.")] = False,
) -> None:
    """Print what a message would become, and why the rest of it would not. Nothing is stored."""
    content = Path(payload[1:]).read_bytes() if payload.startswith("@") else payload.encode()
    parsed, gateway = Formats([_load(file)]).read(Message(topic, content, datetime.now(UTC), retained))
    console.print(f"gateway {gateway}", highlight=False)
    for reading in parsed.readings:
        line = f"reading  {reading.meter}  {reading.channel}  {reading.value:f} {unit_of(reading.channel)}"
        console.print(f"{line}  at {reading.taken_at.isoformat()}", soft_wrap=True, highlight=False)
    for reject in parsed.rejects:
        console.print(f"reject   {reject.reason}: {reject.detail}", soft_wrap=True, highlight=False, markup=False)
    for why in parsed.ignored:
        console.print(f"ignored  {why}", soft_wrap=True, highlight=False, markup=False)
    if not parsed.readings:
        raise typer.Exit(1)


@app.command("discover")
def discover(
    broker: Annotated[str, typer.Argument(metavar="URL", help="The broker, like mqtt://127.0.0.1:1883.")],
    prefix: Annotated[str, typer.Option(help="Home Assistant's discovery prefix.")] = "homeassistant",
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="How long to listen.")] = 3.0,
    into: Annotated[
        Path | None, typer.Option(help="Write the files into this folder instead of printing them.")
    ] = None,
) -> None:
    """Propose mappings from what devices announce to Home Assistant. Check them with `amr format try` before use."""
    try:
        heard = asyncio.run(_announced(broker, prefix, seconds))
    except AmrError as error:
        errors.print(str(error), style="red", soft_wrap=True, highlight=False, markup=False)
        raise typer.Exit(1) from error
    proposals = propose(heard)
    for proposal in proposals:
        if into is None:
            console.print(f"# {proposal.name}.toml", style="bold")
            console.print(proposal.text, soft_wrap=True, highlight=False, markup=False)
        elif (file := into / f"{proposal.name}.toml").exists():
            errors.print(f"{file} is there already and is left alone", style="yellow", soft_wrap=True, markup=False)
        else:
            into.mkdir(parents=True, exist_ok=True)
            file.write_text(proposal.text, encoding="utf-8")
            console.print(f"wrote {file}", soft_wrap=True, highlight=False)
    console.print(f"{len(heard)} announcements, {len(proposals)} mappings proposed", highlight=False)


async def _announced(url: str, prefix: str, seconds: float) -> list[tuple[str, bytes]]:
    broker = Broker.from_url(url, client_id=f"amr-discover-{secrets.token_hex(4)}", session=timedelta(0), version=5)
    heard: list[tuple[str, bytes]] = []

    def received(_: Connection, messages: list[Publish]) -> None:
        heard.extend((publish.topic, publish.payload) for publish in messages)

    connection = Connection(broker, {f"{prefix}/+/+/config": 0, f"{prefix}/+/+/+/config": 0}, received)
    await connection.open()
    await asyncio.wait([connection.lost], timeout=seconds)
    await connection.close()
    return heard


def as_lines(parsed: Parsed) -> tuple[str, ...]:
    """Readings as samples write them: `<meter> <channel> <value> <time>`."""
    return tuple(
        f"{reading.meter} {reading.channel} {reading.value:f} {reading.taken_at.isoformat().replace('+00:00', 'Z')}"
        for reading in parsed.readings
    )


def _load(name: str) -> Format:
    try:
        shipped = presets()
        return shipped[name] if name in shipped else read_file(Path(name))
    except AmrError as error:
        errors.print(str(error), style="red", soft_wrap=True, highlight=False, markup=False)
        raise typer.Exit(1) from error
