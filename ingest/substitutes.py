"""Substitutes for months without readings. Pure; never stored, never over facts, gone as soon as a reading arrives.

A month that lies in a silence with readings on both sides has facts around it: its share of what was measured over the
silence. Else the same month of last year stands in, else the average of the last known months if there are enough, else
the month stays missing. The method is always among the reasons of the amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from ingest.calendar_cuts import Step, shifted
from ingest.consumption import Amount
from ingest.model import Quality

LAST_YEAR = "substitute_last_year"
AVERAGE = "substitute_average"

_MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class SubstituteRule:
    """What a supplier decides.

    The average is taken over the last `periods` known months, at least `at_least` of them, none further back than
    `within` months. A month is known when at least the share `completeness` of its time is measured.
    """

    periods: int = 6
    at_least: int = 3
    within: int = 12
    completeness: Decimal = Decimal("0.9")

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= self.periods <= self.within:
            raise ValueError(
                f"at_least {self.at_least}, periods {self.periods} and within {self.within} of a substitute must be at "
                "least 1 and ascend"
            )


def substituted(
    months: Sequence[Amount],
    spread: Sequence[Amount],
    zone: ZoneInfo,
    now: datetime,
    rule: SubstituteRule | None = None,
) -> list[Amount]:
    """The same months, missing ones replaced where the rule allows it.

    `months` are adjacent calendar months of the point's zone, oldest first, at least a year more than what is to be
    shown; `spread` the same months with long gaps spread (`Policy.distribute`). A month that is not over by `now`, one
    without a meter and one with any amount of its own stay as they are.
    """
    rule = rule or SubstituteRule()
    known = {month.begin: month for month in months if _is_known(month, rule)}
    return [
        month if _stays(month, now) else _substitute(month, facts, known, zone, rule)
        for month, facts in zip(months, spread, strict=True)
    ]


def _stays(month: Amount, now: datetime) -> bool:
    return month.amount is not None or month.end > now or month.reasons == ("no_meter",)


def _is_known(month: Amount, rule: SubstituteRule) -> bool:
    return (
        month.amount is not None and month.quality <= Quality.ESTIMATED and month.completeness >= rule.completeness
    )  # fmt: skip


def _substitute(
    month: Amount, facts: Amount, known: dict[datetime, Amount], zone: ZoneInfo, rule: SubstituteRule
) -> Amount:
    if facts.amount is not None:
        return facts
    last_year = known.get(shifted(month.begin, Step.MONTH, -12, zone))
    if last_year is not None and last_year.amount is not None:
        return _labelled(month, last_year.amount, LAST_YEAR)
    before = [known.get(shifted(month.begin, Step.MONTH, -back, zone)) for back in range(1, rule.within + 1)]
    amounts = [one.amount for one in before if one is not None and one.amount is not None][: rule.periods]
    if len(amounts) < rule.at_least:
        return month
    return _labelled(month, (sum(amounts, Decimal(0)) / len(amounts)).quantize(_MICRO), AVERAGE)


def _labelled(month: Amount, amount: Decimal, method: str) -> Amount:
    reasons = tuple(sorted((*month.reasons, method)))
    return replace(month, amount=amount, quality=Quality.ESTIMATED, reasons=reasons)
