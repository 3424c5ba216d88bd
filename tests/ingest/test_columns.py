"""Columns are the readings they stand for, to everybody who looks, and to the store."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from ingest.columns import LARGEST, Columns
from ingest.delivery import Delivery
from ingest.instants import micros
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec
from tests.ingest.memory_store import MemoryStore
from tests.ingest.messy import messy
from tests.ingest.point import HOUR, START

AT = micros(START)


def columns(readings: list[Reading]) -> Columns:
    return Columns(
        [(one.meter, one.channel) for one in readings],
        [micros(one.taken_at) for one in readings],
        [int(one.value * 1_000_000) for one in readings],
    )


def test_readings_are_made_when_they_are_looked_at() -> None:
    two = Columns([("1", "1.8.0"), ("2", "32.7.0")], [AT, AT + 1], [1_500_000, -1])
    wanted = [
        Reading("1", "1.8.0", START, Decimal("1.5")),
        Reading("2", "32.7.0", START + timedelta(microseconds=1), Decimal("-0.000001")),
    ]
    assert two == wanted
    assert [two[0], two[-1]] == wanted
    assert two[1:] == wanted[1:]
    assert len(two) == 2
    assert two != wanted[:1]
    assert repr(two) == repr(wanted)


@pytest.mark.parametrize(("channel", "micro"), [("1.8.0", -1), ("1.8.0", LARGEST + 1), ("32.7.0", -LARGEST - 1)])
def test_what_is_no_value_is_named(channel: str, micro: int) -> None:
    with pytest.raises(ValueError, match=channel):
        Columns([("1", "32.7.0"), ("1", channel)], [AT, AT], [0, micro])


def test_columns_are_of_one_length() -> None:
    with pytest.raises(ValueError, match="no readings"):
        Columns([("1", "1.8.0")], [AT], [])


@pytest.mark.parametrize("seed", range(8))
async def test_the_store_ends_the_same_however_readings_came(seed: int) -> None:
    rng = Random(seed)
    readings = messy(rng, 150, faults=0.03)
    stores = []
    for as_columns in (False, True):
        store = MemoryStore()
        store.install(readings[0].meter, [RegisterSpec("1.8.0", 6, 3, Decimal(15))], gateway="gw-1")
        intake = Intake(store, now=lambda: START + 100_000 * HOUR)
        parts = Random(seed)
        left = list(readings)
        while left:
            taken, left = left[: (size := parts.choice([1, 1, 5, 30]))], left[size:]
            gateway = "gw-2" if parts.random() < 0.05 else "gw-1"
            await intake.accept(Delivery("t", columns(taken) if as_columns else taken, gateway=gateway))
        stores.append(store)
    plain, packed = stores
    assert packed.tables.rows
    assert packed.tables.rows == plain.tables.rows
    assert packed.tables.ends == plain.tables.ends
    assert sum(packed.tables.quarantine.values()) == sum(plain.tables.quarantine.values())
