"""An answer written straight from columns is byte for byte what its amounts would have made one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.amounts import each, written
from ingest.amounts import Amount, Joined, Steady
from ingest.model import Quality

SAMARA = ZoneInfo("Europe/Samara")


def steady(rng: Random, count: int, ratio: Decimal = Decimal(1), meter: str = "m1") -> Steady:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=rng.choice([0, 1, 17]))
    lengths = [rng.choice([1, 24, 25]) * timedelta(minutes=30) for _ in range(count)]
    shown = [rng.choice([0, 10**9, 999_999_999_999])]
    for _ in lengths:
        shown.append(shown[-1] + rng.choice([0, 1, 10_000, 500_000, 1_000_000, rng.randrange(10**9)]))
    cuts = [at + sum(lengths[:n], timedelta()) for n in range(count + 1)]
    return Steady(cuts, shown, [rng.random() < 0.5 for _ in cuts], ratio, meter, "kWh")


def said(amounts: list[Amount] | Steady | Joined) -> bytes:
    return orjson.dumps({"items": written(amounts, SAMARA)})


@given(st.integers(0, 2**32), st.sampled_from(["1", "1.0000", "20", "1E+3", "19.5", "0.125", "1.000001"]))
def test_columns_are_written_as_their_amounts_are(seed: int, ratio: str) -> None:
    found = steady(Random(seed), Random(seed).choice([1, 2, 30]), Decimal(ratio))
    assert said(found) == said(list(found)) == orjson.dumps({"items": each(found, SAMARA)})


@pytest.mark.parametrize("meter", ['7"8', "счётчик 5", "a\\b", "<{%s}>"])
def test_any_number_of_a_meter_is_quoted(meter: str) -> None:
    found = steady(Random(1), 3, meter=meter)
    assert said(found) == said(list(found))


def test_pieces_are_written_one_behind_the_other() -> None:
    begin = datetime(2026, 2, 1, tzinfo=UTC)
    gap = Amount(begin, begin + timedelta(days=1), None, Quality.MISSING, Decimal("0.0000"), reasons=("gap",))
    found = Joined([steady(Random(2), 3), [gap, gap], steady(Random(3), 2, Decimal(40))])
    assert len(orjson.loads(said(found))["items"]) == len(found) == 7
    assert said(found) == said(list(found))
    assert said(Joined([])) == said([]) == b'{"items":[]}'
