"""The command line, and the only place that assembles the floors: settings in, running service out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import uvloop
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict
from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler

import api.cli_alive
import api.cli_export
import api.cli_plain
import api.cli_settings
import collectors.cli
import collectors.cli_words
import collectors.format_cli
import simulators.cli
import storage.cli
import storage.cli_audit
import storage.cli_events
import storage.cli_gaps
import storage.cli_reliability
import storage.cli_requests
import storage.cli_status
import storage.cli_strangers
import storage.cli_words
import storage.quarantine_cli
import storage.storage_cli
from api.choices import Knowledge, ModelFacts
from api.cli_introduction import introduction
from api.settings import HttpSettings
from collectors.alert_settings import AlertSettings
from collectors.catalog import load_catalog
from collectors.certificates import expiries
from collectors.filling import Backfill
from collectors.formats_in_use import load_formats
from collectors.forward import Forwarder, Pace
from collectors.home import Home, own_home
from collectors.lines import Lines
from collectors.metrics import ForwardMetrics, PollMetrics, SpoolMetrics, SubscriberMetrics
from collectors.polling import Polling
from collectors.push import receive, state_of, subscriber_of
from collectors.serial_link import line_link
from collectors.settings import CollectorSettings
from collectors.spool import Spool
from collectors.spooling import Spooling, drain_orphans
from ingest.csv_file import deliveries
from ingest.errors import AmrError, Misconfigured
from ingest.intake import Intake
from ingest.log_format import ConsoleFormatter, JsonFormatter
from ingest.model import Line, PolledLine
from ingest.refuge import SparedIntake
from ingest.stopping import storing, until_stopped
from simulators.clock import Clock
from simulators.shape import load
from simulators.street import Street
from simulators.street_fleet import HISTORY_POINT, fleet_text, history_lines
from storage import fleet, tokens
from storage.alerting import watch_over
from storage.cli_overview import glances_table
from storage.completeness import recount_hourly
from storage.database import Database, DatabaseSettings, open_database
from storage.desk import Desk, open_desk
from storage.fleet import fleet_changes, followed_lines, polled_lines
from storage.fleet_polled import followed_file
from storage.line_service import LineService
from storage.metrics import FleetMetrics, StoreMetrics
from storage.midnights import remember_always
from storage.migrate import migrate
from storage.overview import overview
from storage.ownership import Ownership
from storage.policy import StoragePolicy
from storage.processes import report
from storage.readings import PostgresStore
from storage.request_service import RequestService
from storage.retention import retain_daily
from storage.shelf import Shelf
from storage.switchboard import Reached, reach

if TYPE_CHECKING:
    from simulators.broker import EmbeddedBroker

log = logging.getLogger("amr")
out = Console(markup=False, emoji=False)
err = Console(markup=False, emoji=False, stderr=True)


def _data_folder() -> Path:
    """Where an embedded database lives when nothing else is said: root's home is closed to PostgreSQL's account."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/amr")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "amr"


class Settings(CollectorSettings, HttpSettings, AlertSettings):
    """Deployment settings, from environment variables AMR_* alone. With none set, embedded defaults serve."""

    model_config = SettingsConfigDict(env_prefix="AMR_", frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = Field(default=None, description="PostgreSQL or TimescaleDB; none: an embedded one")
    data: Path = Field(default_factory=_data_folder, description="Folder of the embedded database")
    keep_days: int = Field(default=1278, ge=0, description="Days all readings are kept, then one a day; 0: for ever")
    keep_notes_days: int = Field(
        default=400, ge=0, description="Days finished reading requests and completeness are kept; 0: for ever"
    )
    keep_audit_days: int = Field(
        default=1827, ge=0, description="Days who asked what is kept, never shorter than readings; 0: for ever"
    )
    compress_days: int = Field(default=45, ge=1, description="Days after which TimescaleDB compresses")
    timescale: bool = Field(default=True, description="Use TimescaleDB where the server has it")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = Field(
        default=None, description="DEBUG, INFO, WARNING or ERROR; none: INFO for services, WARNING for other verbs"
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="console for eyes, json for one JSON object a line"
    )

    @property
    def database(self) -> DatabaseSettings:
        url = None if self.database_url is None else self.database_url.get_secret_value()
        return DatabaseSettings(url=url, data=self.data)

    @property
    def storage(self) -> StoragePolicy:
        """How the history is laid out and how long it is kept."""
        keep, notes, audit = (
            timedelta(days=days) if days else None
            for days in (self.keep_days, self.keep_notes_days, self.keep_audit_days)
        )
        compress = timedelta(days=self.compress_days)
        return StoragePolicy(keep, compress, timescale=self.timescale, notes=notes, audit=audit)

    def knowledge(self) -> Knowledge:
        """What the API is told of devices: the catalogue, what lines and meters can be, the formats of messages."""
        catalog = load_catalog(self.catalog)
        specs = catalog.specs()
        facts = {
            slug: ModelFacts(one.manufacturer, one.name, one.tongue.value, one.source, specs[slug])
            for slug, one in catalog.serial.items()
        }
        for slug, model in catalog.items():
            facts[slug] = ModelFacts(model.manufacturer, model.name, "modbus", model.source, specs[slug])
        for slug, heard in catalog.pushed.items():
            facts[slug] = ModelFacts(heard.manufacturer, heard.name, "mqtt", heard.source, specs[slug])
        return Knowledge(facts, self.check_line, self.check_meter, self.message_parser())

    @property
    def spool_folder(self) -> Path:
        """Where collectors of this machine keep what they need without the database."""
        return self.spool or self.data / "spool"

    def reach(self, *, name: str | None, address: str | None) -> contextlib.AbstractAsyncContextManager[Reached | None]:
        """Who may speak on a line, for an engineer at it."""
        return reach(self, name=name, address=address)

    def desk(self) -> contextlib.AbstractAsyncContextManager[Desk]:
        """The stored fleet, for an engineer who adds a meter."""
        return open_desk(self)


api.cli_plain.prepare(out, err, storage.cli_words.console, collectors.cli_words.console, collectors.cli_words.errors)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Metering data from the meter to the consumer's cabinet. Start with: amr demo",
)
app.command("migrate")(storage.cli.migrate)
app.add_typer(storage.cli.fleet, name="fleet")
app.add_typer(storage.cli.token, name="token")
app.command("audit")(storage.cli_audit.audit)
app.command("status")(storage.cli_status.status)
app.command("events")(storage.cli_events.events)
app.command("alive")(api.cli_alive.alive)
app.command("settings")(api.cli_settings.settings_verb)
app.add_typer(storage.storage_cli.storage, name="storage")
app.add_typer(simulators.cli.app)
app.add_typer(collectors.format_cli.app, name="format")
app.add_typer(collectors.cli.catalog, name="catalog")
app.add_typer(collectors.cli.meter, name="meter")
app.add_typer(collectors.cli.line, name="line")
collectors.cli.meter.command("exchange")(storage.cli.exchange_meter)
collectors.cli.meter.command("ratio")(storage.cli.change_ratio)
collectors.cli.meter.command("ask")(storage.cli_requests.ask_meter)
collectors.cli.meter.command("gaps")(storage.cli_gaps.list_gaps)
collectors.cli.meter.command("missed")(storage.cli_reliability.missed_polls)
collectors.cli.line.command("release")(storage.cli_reliability.release_lines)
collectors.cli.meter.command("unknown")(storage.cli_strangers.unknown_meters)
collectors.cli.meter.command("foreign")(storage.cli_strangers.foreign_meters)
collectors.cli.meter.command("adopt")(storage.cli_strangers.adopt_meter)
app.add_typer(storage.quarantine_cli.quarantine, name="quarantine")
app.add_typer(api.cli_export.export, name="export")


@app.callback()
def _settle(context: typer.Context) -> None:
    settings = _read_settings()
    usual = "INFO" if context.invoked_subcommand in ("collect", "serve") else "WARNING"
    _start_log(settings.log_level or usual, settings.log_format)
    context.obj = settings


def _start_log(level: str, form: str) -> None:
    """On a terminal for eyes; elsewhere one plain line a record, for journald and files, or JSON for machines."""
    if form == "console" and err.is_terminal:
        logging.basicConfig(
            level=level, format="%(name)s: %(message)s", handlers=[RichHandler(console=err, show_path=False)]
        )
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
        logging.basicConfig(level=level, handlers=[handler])
    for name in ("uvicorn", "httpx", "httpcore"):  # httpx tells whole addresses, and a webhook's is a secret
        logging.getLogger(name).setLevel(logging.WARNING)


def _read_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"AMR_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']} (is {e['input']!r})" for e in error.errors()]
        raise Misconfigured("; ".join(wrong)) from error


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run until done, or until SIGINT or SIGTERM cancels it."""
    gc.set_threshold(100_000, 50, 1000)  # readings live for milliseconds: looking for cycles among them costs a fifth
    uvloop.run(until_stopped(main))


@contextlib.asynccontextmanager
async def service(settings: Settings, *, absent: bool = False) -> AsyncIterator[tuple[Database, Intake]]:
    """A database that is there and current, and the door before it; what was put is committed before it closes.

    With `absent` it begins without a configured database too.
    """
    absent = absent and settings.database_url is not None
    async with open_database(settings.database, wait=not absent, absent=absent) as database:
        if settings.database_url is None:  # a configured database is migrated by its owner
            await migrate(database, settings.storage)
        intake = Intake(PostgresStore(database))
        async with storing(intake):
            yield database, intake


@contextlib.asynccontextmanager
async def sparing(
    settings: Settings, home: Home, database: Database, intake: Intake
) -> AsyncIterator[tuple[Intake, Spool]]:
    """The door of polls: what the database cannot take now is on this disk, in the spool, before it counts as done."""
    limits = settings.spool_mb << 20, timedelta(days=settings.spool_days)
    async with Spool(home.spool, *limits) as spool:
        spooling = Spooling(spool, intake, day_of=home.day_of)
        polls = SparedIntake(PostgresStore(database), spooling)
        draining = [asyncio.create_task(spooling.run(), name="spool")]
        draining.append(asyncio.create_task(drain_orphans(settings.spool_folder, intake), name="left spools"))
        try:
            async with storing(polls):
                yield polls, spool
        finally:
            for task in draining:
                task.cancel()
            for end in await asyncio.gather(*draining, return_exceptions=True):
                if isinstance(end, Exception):
                    log.error("the spool was not drained: %r", end)


async def collecting(
    settings: Settings,
    database: Database,
    intake: Intake,
    home: Home | None = None,
    polls: Intake | None = None,
    registry: CollectorRegistry | None = None,
    spool: Spool | None = None,
) -> None:
    """Poll every line of the fleet and listen to the broker, following changes of the fleet; until cancelled.

    With a `home` it also works while the database is away; polls then go to the door `polls`, which has the `spool`,
    instead of the intake.
    """
    catalog, shelf, registry = load_catalog(settings.catalog), Shelf(database), registry or CollectorRegistry()

    def spare(line: Line) -> Backfill | None:
        share = settings.backfill_share
        return Backfill(line, catalog, shelf, share=share, spawn=tasks.create_task) if share else None

    async with (
        asyncio.TaskGroup() as tasks,
        Lines(polls or intake, lambda line: line_link(line, catalog), make_spare=spare) as lines,
    ):
        if settings.mqtt_url is not None:
            tasks.create_task(_listening(settings, database, intake, settings.mqtt_url, registry), name="subscriber")
        offline = settings.offline_hours * 3600 if home else 0.0
        ownership = Ownership(database, name=settings.collector_name, offline=offline)
        polling = Polling(lines, catalog, ownership, partial(followed_lines, database, settings.may_poll), home)
        requests = RequestService(database, polling.name, polling.mine, polling.poll_now)
        polling.changed = requests.look
        registry.register(PollMetrics(lines.tally, lambda: len(polling.mine())))
        said = report(
            database, "collector", lambda: polling.name, lambda: {"lines": len(polling.mine()), **_load(intake, spool)}
        )
        await asyncio.gather(
            polling.run(),
            requests.run(),
            LineService(database, polling.name, polling.mine, polling.work_on).run(),
            said,
        )


async def _listening(
    settings: Settings, database: Database, intake: Intake, url: SecretStr, registry: CollectorRegistry
) -> None:
    """Bring in what the broker has, and say how it stands with it."""
    broker = settings.broker(url)
    subscriber = subscriber_of(broker, load_formats(settings.format_names, settings.formats_folder), intake)
    registry.register(SubscriberMetrics(subscriber))
    certificates = expiries([settings.mqtt_ca, settings.mqtt_certificate])
    await asyncio.gather(
        receive(subscriber, try_out=settings.mqtt_try_out),
        report(database, "subscriber", lambda: settings.mqtt_client_id, lambda: state_of(subscriber, certificates)),
    )


def _load(intake: Intake, spool: Spool | None = None) -> dict[str, object]:
    """What a process says of its queue, and of what waits on its disk."""
    load: dict[str, object] = {"intake": {"rows": intake.depth.rows, "oldest": round(intake.depth.oldest, 1)}}
    if spool is not None:
        kept = spool.state()
        load["spool"] = {"rows": kept.depth, "level": kept.level}
    return load


def _watching(settings: Settings, database: Database, registry: CollectorRegistry) -> Coroutine[Any, Any, None]:
    """Tell people of faults, and monitoring of the fleet, in whichever process of ours comes first."""
    fleet_metrics = FleetMetrics()
    registry.register(fleet_metrics)
    rules, tellers = settings.alert_rules(), settings.tellers()
    return watch_over(database, rules, tellers, language=settings.alert_language, seen=fleet_metrics.see)


def served_api(settings: Settings, database: Database, intake: Intake) -> contextlib.AbstractAsyncContextManager[str]:
    """The HTTP API; gives its address. It is loaded here: no other verb waits half a second for what it imports."""
    from api.app import create_app
    from api.cli import serving

    app = create_app(database, intake, settings=settings.api(), knowledge=settings.knowledge())
    return serving(app, settings.http_host, settings.http_port)


def monitored(settings: Settings, *collectors: Collector) -> contextlib.AbstractAsyncContextManager[CollectorRegistry]:
    """What monitoring asks of every process; loaded when a service begins, for the same reason."""
    from api import metrics_page

    return metrics_page.monitored(settings, *collectors)


async def _serve(settings: Settings) -> None:
    async with (
        service(settings) as (database, intake),
        served_api(settings, database, intake) as served,
        monitored(settings, StoreMetrics(database, people=intake)) as registry,
        asyncio.TaskGroup() as tasks,
    ):
        log.info("serving %s/docs", served)
        tasks.create_task(_watching(settings, database, registry), name="alerts")
        tasks.create_task(report(database, "api", lambda: served, lambda: _load(intake)), name="report")


async def _collect(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        home = stack.enter_context(own_home(settings.spool_folder))
        knows_its_fleet = bool(home.fleet())
        database, intake = await stack.enter_async_context(service(settings, absent=knows_its_fleet))
        polls, spool = await stack.enter_async_context(sparing(settings, home, database, intake))
        metrics = StoreMetrics(database, push=intake, poll=polls), SpoolMetrics(spool)
        registry = await stack.enter_async_context(monitored(settings, *metrics))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(retain_daily(database, settings.storage), name="retention")
        tasks.create_task(remember_always(database), name="midnights")
        tasks.create_task(recount_hourly(database), name="completeness")
        tasks.create_task(_watching(settings, database, registry), name="alerts")
        await collecting(settings, database, intake, home, polls, registry, spool)


@app.command()
def serve(context: typer.Context) -> None:
    """Serve the cabinet's HTTP API until stopped (AMR_HTTP_HOST, AMR_HTTP_PORT)."""
    run(_serve(context.obj))


@app.command()
def collect(
    context: typer.Context,
    forward: Annotated[
        str | None, typer.Option(metavar="URL", help="Store nothing here: forward to the central ingest's broker.")
    ] = None,
    gateway: Annotated[
        str | None, typer.Option(help="The name to forward under; default: the user in the broker's address.")
    ] = None,
    fleet_file: Annotated[
        Path | None, typer.Option("--fleet", help="Poll what this fleet file says; default: the stored fleet.")
    ] = None,
) -> None:
    """Poll the fleet's lines and subscribe to the broker until stopped (AMR_MQTT_URL).

    At a substation, `--forward mqtts://tp-101:password@broker` (or AMR_FORWARD) polls without a database: everything is
    kept on this disk until the central ingest confirms that it is stored.
    """
    settings: Settings = context.obj
    given = {"forward": forward and SecretStr(forward), "gateway": gateway, "fleet": fleet_file}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    if settings.forward is not None:
        run(_forward(settings, settings.forward))
    elif gateway is not None or fleet_file is not None:
        raise Misconfigured("--gateway and --fleet belong to --forward; without it the stored fleet is polled")
    else:
        run(_collect(settings))


async def _forward(settings: Settings, url: SecretStr) -> None:
    """Poll, keep on disk, send, and forget what is confirmed; nothing is judged or stored here."""
    broker, gateway = settings.edge(url)
    catalog = load_catalog(settings.catalog)
    limits = settings.spool_mb << 20, timedelta(days=settings.spool_days)
    async with (
        contextlib.aclosing(_edge_lines(settings)) as fleets,
        Spool(settings.spool_folder / "forward" / f"{gateway}.sqlite", *limits) as spool,
    ):
        forwarder = Forwarder(broker, gateway, spool, Pace(spread=settings.forward_spread))
        polled = await anext(fleets)  # a mistake in the fleet ends it here
        async with (
            asyncio.TaskGroup() as tasks,
            Lines(forwarder, lambda line: line_link(line, catalog)) as lines,
            monitored(settings, ForwardMetrics(forwarder, lines.tally, lambda: len(polled)), SpoolMetrics(spool)),
        ):
            tasks.create_task(forwarder.run(), name="forwarder")
            while True:
                log.info("polling %d meters on %d lines", sum(len(one.meters) for one in polled), len(polled))
                await lines.update(polled)
                polled = await anext(fleets)


async def _edge_lines(settings: Settings) -> AsyncGenerator[list[PolledLine], None]:
    """What is polled, again after each change of it: of the fleet file, or of the stored fleet."""
    if settings.fleet is None:
        async with open_database(settings.database, wait=True) as database:
            if settings.database_url is None:
                await migrate(database, settings.storage)
            async for _ in fleet_changes(database):
                async with database.connection() as conn:
                    yield await polled_lines(conn)
        return
    checks = settings.models(), settings.check_line, settings.check_meter
    async for lines in followed_file(settings.fleet, *checks):
        yield lines


@app.command("import")
def import_readings(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with columns meter, channel, taken_at, value [, source, author]; or 80020 XML, many in a .zip"
        ),
    ],
    zone: Annotated[str | None, typer.Option(help="Clock of the 80020 sender; usually that of its INN.")] = None,
    all_values: Annotated[bool, typer.Option("--all-values", help="Take 80020 values not for settlement too.")] = False,
) -> None:
    """Import readings from CSV, or load profiles from 80020 XML; repeating it changes nothing."""
    from api.cli_import import SUFFIXES

    if file.suffix.lower() in SUFFIXES:
        run(_import_80020(context.obj, file, zone, all_values=all_values))
    else:
        run(_import(context.obj, file))


async def _import_80020(settings: Settings, file: Path, zone: str | None, *, all_values: bool) -> None:
    from api.cli_import import import_80020

    async with service(settings) as (database, intake):
        company = settings.company()
        await import_80020(database, intake, file, company, zone, all_values=all_values)


async def _import(settings: Settings, file: Path) -> None:
    from api.cli_import import import_csv, open_csv

    with open_csv(file) as text:
        async with service(settings) as (_, intake):
            await import_csv(intake, text, file.name)


@app.command()
def demo(context: typer.Context) -> None:
    """A street of simulated meters, polled, pushed, stored and served, until Ctrl-C."""
    run(_demo(context.obj))


async def _demo(settings: Settings) -> None:
    """Everything in one process: what it starts ends with it. The embedded database keeps a folder of its own."""
    from api.metrics_page import metrics_page, registry_of

    folder, now = settings.data / "demo", datetime.now(UTC)
    settings = settings.model_copy(update={"data": folder})
    async with contextlib.AsyncExitStack() as stack:
        with out.status("starting a database, a broker and a street of meters"):
            broker = settings.mqtt_url
            if broker is None:
                url = (await stack.enter_async_context(_embedded_broker())).url
                settings = settings.model_copy(
                    update={"mqtt_url": SecretStr(url), "mqtt_version": 4, "mqtt_try_out": False}
                )
            database, intake = await stack.enter_async_context(service(settings))
            street = Street.shipped()
            async with database.connection() as conn:
                text = fleet_text(street.describe(), now, period="15s", consumer=DEMO)
                await fleet.apply(
                    conn, text, settings.models(), check_line=settings.check_line, check_meter=settings.check_meter
                )
                token = await tokens.create(
                    conn, f"demo {now:%Y-%m-%d %H:%M:%S}", "consumer", consumer=DEMO, expires_at=now + timedelta(days=1)
                )
            for delivery in deliveries(history_lines(load("b"), now), "household-b"):
                await intake.accept(delivery)
            assert settings.mqtt_url is not None
            mqtt_url = settings.mqtt_url.get_secret_value()
            await stack.enter_async_context(street.start(Clock(), mqtt_url=mqtt_url, every=DEMO_PERIOD))
            registry = registry_of(StoreMetrics(database, all=intake))
            page = await stack.enter_async_context(metrics_page(settings, registry))
            collector = asyncio.create_task(collecting(settings, database, intake, registry=registry), name="collector")
            stack.push_async_callback(_end, collector)
            served = await stack.enter_async_context(served_api(settings, database, intake))
        for line in introduction(served, page, token, folder, HISTORY_POINT):
            out.print(line, highlight=False, soft_wrap=True)
        with Live(console=out, refresh_per_second=1, screen=False) as live:
            while not collector.done():
                async with database.connection() as conn:
                    live.update(glances_table(await overview(conn)))
                await asyncio.wait([collector], timeout=1.0)
        await collector


def _embedded_broker() -> EmbeddedBroker:
    """A broker of our own. Only the demo needs its library, which a deployment does without."""
    try:
        from simulators.broker import EmbeddedBroker
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{error.name} is not installed: install amr[embedded], or set AMR_MQTT_URL") from error
    return EmbeddedBroker()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


DEMO = "demo"
DEMO_PERIOD = timedelta(seconds=15)


def main() -> None:
    """Entry point of the `amr` command: errors of ours end in one clear line."""
    try:
        app()
    except AmrError as error:
        err.print(f"{error.code}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
