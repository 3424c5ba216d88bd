"""A scenario's entries, read from a street file: events of a meter and faults of its wire. Pure."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from simulators.events import Drift, Event, Exchange, Jump, Restart, Spike, Stall
from simulators.faults import Fault, Kind
from simulators.table import StreetFileError, Table


def event_of(table: Table, start: datetime) -> Event:
    """What happens to the meter: stall, jump, spike, restart, exchange, drift."""
    kind = table.choice("kind", tuple(_EVENTS))
    event = _EVENTS[kind](table, start)
    table.done()
    return event


def fault_of(table: Table, start: datetime) -> Fault:
    """What goes wrong on the wire, from `begin` to `end` (both optional)."""
    kind = Kind(table.choice("kind", tuple(Kind)))
    begin, end = (table.moment(key, start) if table.has(key) else None for key in ("begin", "end"))
    seconds, every = float(table.decimal("seconds", Decimal(0))), table.number("every", 1, 1, 1_000_000)
    fault = table.checked("fault", lambda: Fault(kind, seconds=seconds, every=every, begin=begin, end=end))
    table.done()
    return fault


def _stall(table: Table, start: datetime) -> Event:
    return Stall(*_span(table, start))


def _jump(table: Table, start: datetime) -> Event:
    return Jump(table.moment("at", start), table.decimal("by"), table.text("channel", "1.8.0"))


def _spike(table: Table, start: datetime) -> Event:
    return Spike(*_span(table, start), table.decimal("value"), table.text("channel", "1.8.0"))


def _restart(table: Table, start: datetime) -> Event:
    return Restart(table.moment("at", start))


def _exchange(table: Table, start: datetime) -> Event:
    return Exchange(table.moment("at", start), table.text("serial"), table.decimals("start", "1.8.0"))


def _drift(table: Table, start: datetime) -> Event:
    return Drift(table.moment("begin", start, start), float(table.decimal("seconds_per_day")))


def _span(table: Table, start: datetime) -> tuple[datetime, datetime]:
    begin, end = table.moment("begin", start), table.moment("end", start)
    if end <= begin:
        raise StreetFileError(f"{table.where}: end {end} must be after begin {begin}")
    return begin, end


_EVENTS: dict[str, Callable[[Table, datetime], Event]] = {
    "stall": _stall,
    "jump": _jump,
    "spike": _spike,
    "restart": _restart,
    "exchange": _exchange,
    "drift": _drift,
}
