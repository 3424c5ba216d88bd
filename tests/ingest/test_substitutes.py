"""Months without readings: what stands in for them, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from ingest.calendar_cuts import Step, cuts
from ingest.consumption import Amount
from ingest.model import Quality
from ingest.substitutes import SubstituteRule, substituted

MOSCOW = ZoneInfo("Europe/Moscow")
BEGIN = datetime(2024, 1, 1, tzinfo=MOSCOW)
NOW = datetime(2026, 2, 10, tzinfo=MOSCOW)
BORDERS = cuts(BEGIN, datetime(2026, 3, 1, tzinfo=MOSCOW), Step.MONTH, MOSCOW)
ALL = Decimal("1.0000")


def month(number: int, amount: int | None, *, complete: str = "1", quality: Quality = Quality.GOOD) -> Amount:
    if amount is None:
        return Amount(BORDERS[number], BORDERS[number + 1], None, Quality.MISSING, Decimal(0), reasons=("gap",))
    return Amount(BORDERS[number], BORDERS[number + 1], Decimal(amount), quality, Decimal(complete))


def shown(
    amounts: Sequence[int | Amount | None], rule: SubstituteRule | None = None, spread: dict[int, Amount] | None = None
) -> list[tuple[object, object]]:
    """(amount, method) of every month."""
    months = [one if isinstance(one, Amount) else month(number, one) for number, one in enumerate(amounts)]
    facts = [(spread or {}).get(number, month(number, None)) for number in range(len(months))]
    found = substituted(months, facts, MOSCOW, NOW, rule)
    return [(one.amount, "".join(r for r in one.reasons if r != "gap")) for one in found]


def test_the_same_month_of_last_year_comes_first() -> None:
    year = list(range(100, 112))
    found = shown([*year, 200, None, 202])
    assert found[13] == (101, "substitute_last_year")
    assert found[12] == (200, "")


def test_else_the_average_of_up_to_six_known_months() -> None:
    assert shown([10, 20, 30, 40, 50, 60, 70, None])[7] == (Decimal(45), "substitute_average")
    assert shown([10, 20, 40, None])[3] == (Decimal("23.333333"), "substitute_average")


def test_else_it_stays_missing() -> None:
    assert shown([10, 20, None])[2] == (None, "")
    assert shown([None, None, None])[1] == (None, "")


def test_substitutes_are_never_made_of_substitutes() -> None:
    found = shown([10, 20, 30, None, None, None])
    assert [amount for amount, _ in found[3:]] == [20, 20, 20]
    assert shown([10, 20, 30, *[None] * 12])[13] == (20, "substitute_last_year")
    assert shown([10, 20, 30, *[None] * 13])[15] == (None, "")


def test_facts_are_never_replaced_not_even_poor_ones() -> None:
    partly = month(12, 5, complete="0.1")
    suspect = month(12, 5, quality=Quality.SUSPECT)
    for poor in (partly, suspect):
        assert shown([*[100] * 12, poor])[12] == (5, "")


def test_poor_months_are_nobodys_substitute() -> None:
    poor = [month(0, 5, complete="0.8"), month(1, 5, quality=Quality.SUSPECT)]
    assert shown([*poor, 10, 20, None])[4] == (None, "")
    enough = [month(0, 5, complete="0.9"), month(1, 5, quality=Quality.ESTIMATED)]
    assert shown([*enough, 5, None])[3] == (5, "substitute_average")


def test_a_silence_with_readings_on_both_sides_has_facts() -> None:
    share = Amount(BORDERS[13], BORDERS[14], Decimal(33), Quality.ESTIMATED, Decimal(0), reasons=("distributed",))
    assert shown([*[100] * 13, None], spread={13: share})[13] == (33, "distributed")


def test_a_month_that_is_not_over_has_no_substitute() -> None:
    found = shown([*[100] * 24, None, None])
    assert found[24:] == [(100, "substitute_last_year"), (None, "")]


def test_without_a_meter_there_is_nothing_to_substitute() -> None:
    nobody = Amount(BORDERS[12], BORDERS[13], None, Quality.MISSING, Decimal(0), reasons=("no_meter",))
    assert shown([*[100] * 12, nobody])[12] == (None, "no_meter")


def test_the_numbers_are_configuration() -> None:
    assert shown([10, 20, 30, None], SubstituteRule(periods=2, at_least=1))[3] == (25, "substitute_average")
    assert shown([10, None], SubstituteRule(at_least=1))[1] == (10, "substitute_average")
    with pytest.raises(ValueError, match="at_least 7"):
        SubstituteRule(at_least=7)


def test_a_substitute_is_labelled_an_estimate_that_measures_nothing() -> None:
    [*_, last] = substituted(
        [month(n, 100) for n in range(12)] + [month(12, None)], [month(n, None) for n in range(13)], MOSCOW, NOW
    )
    assert (last.quality, last.completeness, last.reasons) == (
        Quality.ESTIMATED,
        Decimal(0),
        ("gap", "substitute_last_year"),
    )


def test_months_are_found_by_the_calendar_of_the_zone() -> None:
    volgograd = ZoneInfo("Europe/Volgograd")
    borders = cuts(datetime(2018, 6, 1, tzinfo=UTC), datetime(2019, 12, 1, tzinfo=UTC), Step.MONTH, volgograd)[1:-1]
    months = [Amount(a, b, Decimal(n), Quality.GOOD, ALL) for n, (a, b) in enumerate(pairwise(borders))]
    gone = [*months[:-1], Amount(borders[-2], borders[-1], None, Quality.MISSING, Decimal(0))]
    found = substituted(gone, [month(0, None)] * len(gone), volgograd, NOW)
    assert found[-1].amount == months[-13].amount
