"""The figures of a point for its consumer: this month so far, the month before, the same month of last year. Pure.

Everything is computed from the readings around the cuts that `periods` names. "As of" is the newest instant known; what
lies behind it is not counted as a gap of this month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from ingest.amounts import Steady, pieces
from ingest.calendar_cuts import Step, cuts, shifted
from ingest.channel import unit_of
from ingest.consumption import Amount, Policy, Stretch, consumption
from ingest.model import Quality, Source

MONTHLY = timedelta(days=31) * 3 / 2
"""Months are cut between readings up to so far apart, also where less than a month is asked for."""

_DAY = timedelta(days=1)
_SHARE = Decimal("0.0001")
_MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class AsOf:
    """The newest instant something is known of, and who gave it."""

    at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class Periods:
    """What is asked about, by the clock of the point: `days` run from the month before to `end`.

    `end` is the newest instant known within this month, or `now` where nothing is; `last_year` this month a year ago.
    """

    now: datetime
    month: datetime
    end: datetime
    days: tuple[datetime, ...]
    last_year: tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class ZoneShare:
    """One tariff zone in a period: its amount, and its share of all zones (0 to 1, four decimals)."""

    channel: str
    amount: Decimal | None
    share: Decimal | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One period: its amount, the average of 24 measured hours, the greatest day, and how its zones divide it.

    `maximum_day` is None where no day of the period is known without doubt; `zones` are empty without tariff zones.
    """

    amount: Amount
    average_per_day: Decimal | None
    maximum_day: Amount | None
    zones: tuple[ZoneShare, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of one channel of a point; energies in `unit`.

    `completeness` is the share of this month up to now that is measured: it tells how much is still to come.
    """

    channel: str
    unit: str
    as_of: AsOf | None
    month_to_date: Figures
    previous_month: Figures
    same_month_last_year: Figures
    completeness: Decimal


def periods(now: datetime, as_of: AsOf | None, zone: ZoneInfo) -> Periods:
    """The cuts the figures need."""
    month = shifted(now, Step.MONTH, 0, zone)
    end = min(now, as_of.at) if as_of is not None and as_of.at > month else now
    if end <= month:  # the first instant of a month: nothing of it has passed
        end = month + timedelta(microseconds=1)
    last_year = (shifted(month, Step.MONTH, -12, zone), shifted(month, Step.MONTH, -11, zone))
    days = cuts(shifted(month, Step.MONTH, -1, zone), end, Step.DAY, zone)
    return Periods(now, month, end, tuple(days), last_year)


def statistics(
    channel: str,
    asked: Periods,
    recent: Mapping[str, Sequence[Stretch]],
    last_year: Mapping[str, Sequence[Stretch]],
    as_of: AsOf | None,
    policy: Policy | None = None,
) -> Statistics:
    """The figures of a channel.

    `recent` and `last_year` hold what was selected around `asked.days` and `asked.last_year`, for the channel and for
    its tariff zones.
    """
    policy = policy or Policy()
    before = (asked.days[0], asked.month)
    this_month = _figures(channel, recent, (asked.month, asked.end), asked.days, policy)
    passed = max(asked.now - asked.month, timedelta(microseconds=1))
    measured = this_month.amount.completeness * Decimal((asked.end - asked.month) // timedelta(microseconds=1))
    complete = min(Decimal(1), measured / (passed // timedelta(microseconds=1))).quantize(_SHARE, "ROUND_DOWN")
    return Statistics(
        channel,
        unit_of(channel),
        as_of,
        this_month,
        _figures(channel, recent, before, asked.days, policy),
        _figures(channel, last_year, asked.last_year, (), policy),
        complete,
    )


def _figures(
    channel: str,
    selected: Mapping[str, Sequence[Stretch]],
    period: tuple[datetime, datetime],
    days: Sequence[datetime],
    policy: Policy,
) -> Figures:
    monthly = replace(policy, gap_limit=max(policy.gap_limit, MONTHLY))
    amounts = {name: consumption(found, period, monthly)[0] for name, found in selected.items()}
    amount = amounts[channel]
    inside = [day for day in days if period[0] <= day <= period[1]]
    found = consumption(selected[channel], inside, policy) if len(inside) > 1 else []
    return Figures(amount, _average(amount), _greatest(found), _zones(channel, amounts))


def _average(amount: Amount) -> Decimal | None:
    measured = (amount.end - amount.begin) // timedelta(microseconds=1) * amount.completeness
    if amount.amount is None or measured == 0:
        return None
    return (amount.amount * (_DAY // timedelta(microseconds=1)) / measured).quantize(_MICRO)


def _greatest(days: Sequence[Amount]) -> Amount | None:
    known: list[Amount] = []
    for piece in pieces(days):
        known += [piece.greatest()] if isinstance(piece, Steady) else piece
    known = [day for day in known if day.amount is not None and day.quality <= Quality.ESTIMATED]
    return max(known, key=lambda day: (day.amount, -day.begin.timestamp()), default=None)


def _zones(channel: str, amounts: Mapping[str, Amount]) -> tuple[ZoneShare, ...]:
    zones = {name: amounts[name].amount for name in sorted(amounts) if name != channel}
    known = [amount for amount in zones.values() if amount is not None]
    total = sum(known, Decimal(0))
    complete = len(known) == len(zones) and total > 0
    return tuple(
        ZoneShare(name, amount, (amount / total).quantize(_SHARE) if complete and amount is not None else None)
        for name, amount in zones.items()
    )
